/**
 * gpt-oss (OpenAI 2025): experts with biases and a bounded gate, a window in every second block, and
 * a sink in each head's softmax, whose share of the probabilities goes nowhere.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  parseWindows,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import {
  MLP_EXPERTS,
  parsePerToken,
  parseRouterLoss,
  SOFTMAX_ROUTER,
  type ExpertsForm,
} from '../../decoder/experts-config.js';

const EXPERTS: ExpertsForm = {
  ...MLP_EXPERTS,
  router: 'router',
  gate: 'clipped',
  hasBias: true,
  transposed: true,
  cutOf(block, x, count) {
    const cut = (name: string) => {
      const of = `${block}.mlp.experts.${name}`;
      return { entry: { of, index: x, count }, pieces: [[{ name: of, index: x }]] };
    };
    return {
      gateUp: cut('gate_up_proj'),
      gateUpBias: cut('gate_up_proj_bias'),
      down: cut('down_proj'),
      downBias: cut('down_proj_bias'),
    };
  },
};

/** What its config has where it says nothing of rotary positions. */
const YARN = {
  rope_type: 'yarn',
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};

/** gpt-oss, `model_type` `gpt_oss` (OpenAI 2025). The reference is transformers' implementation. */
export const gptOss = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'gpt-oss',
  modelTypes: ['gpt_oss'],
  parseConfig(json: ConfigJson) {
    const rope = json['rope_parameters'] ?? json['rope_scaling'] ?? YARN;
    const config = readConfig('gpt-oss', { ...json, rope_parameters: rope });
    const shared = parseDecoderConfig(config, {
      vocabularySize: 201088,
      hiddenSize: 2880,
      layers: 36,
      heads: 64,
      keyValueHeads: 8,
      headSize: 64,
      feedForwardSize: 2880,
      maxPositions: 131072,
      isTied: false,
      epsilon: 1e-5,
      theta: 150_000,
    });
    const hasBias = config.flag('attention_bias', true);
    const count = config.size('num_local_experts', 128);
    return {
      ...shared,
      hasSinks: true,
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
      windows: parseWindows(
        config,
        shared.layers,
        parseWindow(config, 128),
        (layer) => layer % 2 === 0,
      ),
      experts: {
        count,
        perToken: parsePerToken(config, count, 4),
        size: shared.feedForwardSize,
        isSparse: shared.windows.map(() => true),
        router: { ...SOFTMAX_ROUTER, kind: 'chosen', hasBias: true },
        form: EXPERTS,
        sharedSize: 0,
        lossWeight: parseRouterLoss(config, 0.001),
      },
    };
  },
});
