/**
 * Granite-MoE (IBM 2024): Granite with experts, weighed by the softmax of the chosen logits alone.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { LLAMA_FORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';
import {
  MLP_EXPERTS,
  parsePerToken,
  parseRouterLoss,
  SOFTMAX_ROUTER,
  type ExpertsForm,
} from '../../decoder/experts-config.js';
import { parseGraniteScales } from '../gated/granite.js';

const PATH = 'block_sparse_moe';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  order: ['self', 'attention', 'ffn', 'feedForward'],
  ffn: { ...LLAMA_FORM.ffn, path: PATH, sublayer: PATH },
};

/** Checkpoints hold all experts of a block in two tensors. */
const EXPERTS: ExpertsForm = {
  ...MLP_EXPERTS,
  path: PATH,
  router: 'router',
  routerAliases: [`${PATH}.router.layer.weight`],
  cutOf(block, x, count) {
    const cut = (ours: string, stored: string) => ({
      entry: { of: `${block}.${PATH}.experts.${ours}`, index: x, count },
      pieces: [`${stored}.weight`, `experts.${ours}`].map((name) => [
        { name: `${block}.${PATH}.${name}`, index: x },
      ]),
    });
    return { gateUp: cut('gate_up_proj', 'input_linear'), down: cut('down_proj', 'output_linear') };
  },
};

/**
 * Granite's mixtures of experts, `model_type` `granitemoe`. The reference is transformers'
 * implementation.
 */
export const graniteMoe = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm'],
  family: 'Granite-MoE',
  modelTypes: ['granitemoe'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('Granite-MoE', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 32000,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      feedForwardSize: 11008,
      maxPositions: 2048,
      isTied: false,
    });
    const hasBias = config.flag('attention_bias', false);
    const count = config.size('num_local_experts', 8);
    return {
      ...shared,
      ...parseGraniteScales(config),
      form: FORM,
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
      experts: {
        count,
        perToken: parsePerToken(config, count, 2),
        size: shared.feedForwardSize,
        isSparse: shared.windows.map(() => true),
        router: { ...SOFTMAX_ROUTER, kind: 'chosen' },
        form: EXPERTS,
        sharedSize: 0,
        lossWeight: parseRouterLoss(config, 0.001),
      },
    };
  },
});
