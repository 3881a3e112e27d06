/**
 * Qwen1.5-MoE and Qwen2-MoE (Yang et al. 2024): Qwen2 with experts in every n-th block, and one
 * network that all tokens take, weighed by a gate of its own.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
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
  type ExpertsConfig,
} from '../../decoder/experts-config.js';

/**
 * Qwen2's mixtures of experts, `model_type` `qwen2_moe` (Yang et al. 2024). The reference is
 * transformers' implementation.
 */
export const qwen2Moe = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Qwen2-MoE',
  modelTypes: ['qwen2_moe'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('Qwen2-MoE', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 151936,
      hiddenSize: 2048,
      layers: 24,
      heads: 16,
      keyValueHeads: 16,
      feedForwardSize: 5632,
      maxPositions: 32768,
      isTied: false,
    });
    const window = config.flag('use_sliding_window', false) ? parseWindow(config, 4096) : 0;
    const lowest = config.count('max_window_layers', 28);
    return {
      ...shared,
      bias: {
        queryKeyValue: config.flag('qkv_bias', true),
        output: false,
        feedForward: false,
      },
      windows: parseWindows(
        config,
        shared.layers,
        window,
        (layer) => layer % 2 === 0 && layer < lowest,
      ),
      experts: {
        ...parseQwenExperts(config, shared.layers, { count: 60, perToken: 4, size: 1408 }),
        sharedSize: config.size('shared_expert_intermediate_size', 5632),
        form: {
          ...MLP_EXPERTS,
          shared: { path: 'shared_expert', gate: 'shared_expert_gate' },
          order: ['router', 'experts', 'shared', 'sharedGate'],
        },
      },
    };
  },
});

/** What Qwen2-MoE and Qwen3-MoE spell alike. */
export function parseQwenExperts(
  config: ConfigReader,
  layers: number,
  defaults: { readonly count: number; readonly perToken: number; readonly size: number },
): ExpertsConfig {
  const field = config.json['num_experts'] === undefined ? 'num_local_experts' : 'num_experts';
  const count = config.size(field, defaults.count);
  const step = config.size('decoder_sparse_step', 1);
  const dense: unknown = config.json['mlp_only_layers'] ?? [];
  if (!Array.isArray(dense) || !dense.every(Number.isSafeInteger))
    config.refuse('mlp_only_layers', dense, 'a list of numbers of blocks');
  return {
    count,
    perToken: parsePerToken(config, count, defaults.perToken),
    size: config.size('moe_intermediate_size', defaults.size),
    isSparse: Array.from(
      { length: layers },
      (_, layer) => !(dense as number[]).includes(layer) && (layer + 1) % step === 0,
    ),
    router: { ...SOFTMAX_ROUTER, normalises: config.flag('norm_topk_prob', false) },
    form: MLP_EXPERTS,
    sharedSize: 0,
    lossWeight: parseRouterLoss(config, 0.001),
  };
}
