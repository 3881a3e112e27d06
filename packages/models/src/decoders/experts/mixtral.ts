/**
 * Mixtral (Jiang et al. 2024): Mistral with two of eight experts for each token, weighed by their
 * probabilities divided by the sum.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import {
  MLP_EXPERTS,
  parsePerToken,
  parseRouterLoss,
  SOFTMAX_ROUTER,
  storedApart,
} from '../../decoder/experts-config.js';

/**
 * Mixtral, `model_type` `mixtral` (Jiang et al. 2024). The reference is transformers'
 * implementation.
 */
export const mixtral = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Mixtral',
  modelTypes: ['mixtral'],
  conventions: {
    mixtral: { queryValueTargets: ['q_proj', 'v_proj'] },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Mixtral', json);
    config.only('router_jitter_noise', 0, 'noise of the router is not supported');
    const shared = parseDecoderConfig(config, {
      vocabularySize: 32000,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      keyValueHeads: 8,
      feedForwardSize: 14336,
      maxPositions: 131072,
      isTied: false,
      epsilon: 1e-5,
      theta: 1_000_000,
    });
    const window = parseWindow(config, 0);
    const count = config.size('num_local_experts', 8);
    return {
      ...shared,
      windows: shared.windows.map(() => window),
      experts: {
        count,
        perToken: parsePerToken(config, count, 2),
        size: shared.feedForwardSize,
        isSparse: shared.windows.map(() => true),
        router: { ...SOFTMAX_ROUTER, normalises: true },
        form: {
          ...MLP_EXPERTS,
          routerAliases: ['block_sparse_moe.gate.weight'],
          cutOf: storedApart('mlp', 'block_sparse_moe', ['w1', 'w3', 'w2']),
        },
        sharedSize: 0,
        lossWeight: parseRouterLoss(config, 0.001),
      },
    };
  },
});
