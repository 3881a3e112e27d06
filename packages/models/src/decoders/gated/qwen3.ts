/**
 * Qwen3 (Yang et al. 2025): `decoder.ts` with an RMS norm of each head's queries and keys, and
 * heads whose width is free.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { HEAD_NORMS, LLAMA_FORM } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';
import { parseQwenWindows } from './qwen2.js';

/**
 * Qwen3, `model_type` `qwen3` (Yang et al. 2025). The reference is transformers' implementation.
 */
export const qwen3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Qwen3',
  modelTypes: ['qwen3'],
  conventions: {
    qwen3: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Qwen3' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Qwen3', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 151936,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      keyValueHeads: 32,
      headSize: 128,
      feedForwardSize: 22016,
      maxPositions: 32768,
      isTied: false,
    });
    const hasBias = config.flag('attention_bias', false);
    return {
      ...shared,
      form: { ...LLAMA_FORM, attention: { ...LLAMA_FORM.attention, norms: HEAD_NORMS } },
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
      windows: parseQwenWindows(config, shared.layers),
    };
  },
});
