/**
 * Qwen2 and Qwen2.5 (Yang et al. 2024): `decoder.ts` with biases on queries, keys and values; a
 * window in the upper blocks where it is switched on.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindows,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';

/**
 * Qwen2 and 2.5, `model_type` `qwen2` (Yang et al. 2024). The reference is transformers'
 * implementation.
 */
export const qwen2 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Qwen2',
  modelTypes: ['qwen2'],
  conventions: {
    qwen2: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Qwen2' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Qwen2', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 151936,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      keyValueHeads: 32,
      feedForwardSize: 22016,
      maxPositions: 32768,
      isTied: false,
    });
    return {
      ...shared,
      bias: { queryKeyValue: true, output: false, feedForward: false },
      windows: parseQwenWindows(config, shared.layers),
    };
  },
});

/**
 * `sliding_window` counts with `use_sliding_window` alone, in the blocks from `max_window_layers`
 * on.
 */
export function parseQwenWindows(config: ConfigReader, layers: number): number[] {
  const isOn = config.flag('use_sliding_window', false);
  const window =
    isOn && config.json['sliding_window'] !== null ? config.size('sliding_window', 4096) : 0;
  const first = config.count('max_window_layers', 28);
  return parseWindows(config, layers, window, (layer) => layer >= first);
}
