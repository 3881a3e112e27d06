/** Qwen3-MoE (Yang et al. 2025): Qwen3 with experts in every n-th block. */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { HEAD_NORMS, LLAMA_FORM } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';
import { MLP_EXPERTS } from '../../decoder/experts-config.js';
import { parseQwenExperts } from './qwen2-moe.js';

/**
 * Qwen3's mixtures of experts, `model_type` `qwen3_moe` (Yang et al. 2025). The reference is
 * transformers' implementation.
 */
export const qwen3Moe = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Qwen3-MoE',
  modelTypes: ['qwen3_moe'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('Qwen3-MoE', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 151936,
      hiddenSize: 2048,
      layers: 24,
      heads: 32,
      keyValueHeads: 4,
      feedForwardSize: 6144,
      maxPositions: 32768,
      isTied: false,
    });
    const hasBias = config.flag('attention_bias', false);
    const window = config.flag('use_sliding_window', false) ? parseWindow(config, 4096) : 0;
    return {
      ...shared,
      form: { ...LLAMA_FORM, attention: { ...LLAMA_FORM.attention, norms: HEAD_NORMS } },
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
      windows: shared.windows.map(() => window),
      experts: {
        ...parseQwenExperts(config, shared.layers, { count: 128, perToken: 8, size: 768 }),
        form: { ...MLP_EXPERTS, order: ['experts', 'router'] },
      },
    };
  },
});
