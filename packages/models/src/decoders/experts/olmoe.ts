/**
 * OLMoE (Muennighoff et al. 2024): experts in every block, and one RMS norm of all heads' queries,
 * one of their keys; queries, keys and values may be kept within bounds.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { LLAMA_FORM, RMS_NORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';
import {
  MLP_EXPERTS,
  parsePerToken,
  parseRouterLoss,
  SOFTMAX_ROUTER,
} from '../../decoder/experts-config.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  attention: {
    ...LLAMA_FORM.attention,
    norms: { query: 'q_norm', key: 'k_norm', over: 'all', norm: RMS_NORM },
  },
};

/**
 * OLMoE, `model_type` `olmoe` (Muennighoff et al. 2024). The reference is transformers'
 * implementation.
 */
export const olmoe = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm'],
  family: 'OLMoE',
  modelTypes: ['olmoe'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('OLMoE', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 50304,
      hiddenSize: 2048,
      layers: 16,
      heads: 16,
      feedForwardSize: 2048,
      maxPositions: 4096,
      isTied: false,
      epsilon: 1e-5,
      paddingId: 1,
    });
    const hasBias = config.flag('attention_bias', false);
    const count = config.size('num_experts', 64);
    return {
      ...shared,
      form: FORM,
      queryKeyValueClip: config.number('clip_qkv', 0),
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
      experts: {
        count,
        perToken: parsePerToken(config, count, 8),
        size: shared.feedForwardSize,
        isSparse: shared.windows.map(() => true),
        router: { ...SOFTMAX_ROUTER, normalises: config.flag('norm_topk_prob', false) },
        form: MLP_EXPERTS,
        sharedSize: 0,
        lossWeight: parseRouterLoss(config, 0.01),
      },
    };
  },
});
