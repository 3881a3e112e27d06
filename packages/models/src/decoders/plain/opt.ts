/**
 * OPT (Zhang et al. 2022): learned positions from row 2 on, layer norms, biases and ReLUs. The 350M
 * model has its norms behind the residual sums, and narrower word embeddings between projections.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import {
  LAYER_NORM,
  LLAMA_FORM,
  plainFeedForward,
  type DecoderForm,
} from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  stack: 'decoder',
  finalNorm: 'final_layer_norm',
  listsFinalNormFirst: true,
  norm: LAYER_NORM,
  norms: { attention: 'self_attn_layer_norm', ffn: 'final_layer_norm' },
  order: ['self', 'attention', 'feedForward', 'ffn'],
  attention: {
    ...LLAMA_FORM.attention,
    output: 'out_proj',
    order: ['key', 'value', 'query', 'output'],
  },
  ffn: plainFeedForward('', 'fc1', 'fc2'),
};

/** OPT, `model_type` `opt` (Zhang et al. 2022). The reference is transformers' implementation. */
export const opt = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm', 'sequence-classification'],
  family: 'OPT',
  modelTypes: ['opt'],
  conventions: {
    opt: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'OPT' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('OPT', { ...json, num_key_value_heads: null, head_dim: null });
    config.only(
      'layer_norm_elementwise_affine',
      true,
      'layer norms without a scale are not supported',
    );
    config.only('layerdrop', 0, 'blocks that are left out at random are not supported');
    const shared = parseDecoderConfig(config, {
      vocabularySize: 50272,
      hiddenSize: 768,
      layers: 12,
      heads: 12,
      feedForwardSize: 3072,
      maxPositions: 2048,
      isTied: true,
      epsilon: 1e-5,
      activation: 'relu',
      paddingId: 1,
      fields: {
        feedForwardSize: 'ffn_dim',
        activation: 'activation_function',
        initializerRange: 'init_std',
      },
    });
    const hasBias = config.flag('enable_bias', true);
    const isPreNorm = config.flag('do_layer_norm_before', true);
    const wordSize = config.size('word_embed_proj_dim', shared.hiddenSize);
    return {
      ...shared,
      epsilon: 1e-5, // torch's own; the config has none
      form: { ...FORM, isPostNorm: !isPreNorm },
      wordSize,
      projections:
        wordSize === shared.hiddenSize ? undefined : { in: 'project_in', out: 'project_out' },
      rope: undefined,
      learnedPositions: { path: 'embed_positions', offset: 2 },
      hasFinalNorm: isPreNorm && !config.flag('_remove_final_layer_norm', false),
      residualDropout: config.rate('dropout', 0.1),
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: hasBias },
    };
  },
});
