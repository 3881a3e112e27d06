/**
 * Gemma 3's text model (Gemma Team 2025): `gemma-decoder.ts` with normed queries and keys, a window
 * in five of six blocks, and rotary positions of base 10,000 there, 1,000,000 in the others. Of a
 * checkpoint for texts and images (`gemma3`) the text model is read.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { parseRope } from './decoder-config.js';
import { gemmaParts, type GemmaConfig } from './gemma-decoder.js';
import { parseGemma, parseGemmaWindows } from './gemma2.js';
import { nestedTextConfig, withNestedNames } from './multimodal-text.js';

export const gemma3 = defineArchitecture<GemmaConfig>({
  ...gemmaParts,
  family: 'Gemma 3',
  modelTypes: ['gemma3_text', 'gemma3'],
  describe: (config, head) =>
    config.modelType === 'gemma3'
      ? withNestedNames(gemmaParts.describe(config, head))
      : gemmaParts.describe(config, head),
  parseConfig(whole: ConfigJson) {
    const json = whole['model_type'] === 'gemma3' ? nestedTextConfig('Gemma 3', whole) : whole;
    const { full_attention: full, sliding_attention: sliding } = (json['rope_parameters'] ??
      {}) as Readonly<Record<string, unknown>>;
    const config = readConfig('Gemma 3', { ...json, rope_parameters: full ?? null });
    const shared = parseGemma(
      config,
      { vocabularySize: 262208, maxPositions: 131072, theta: 1_000_000 },
      { scoreCap: 0, logitCap: 0 },
    );
    const pattern = config.size('sliding_window_pattern', 6);
    return {
      ...shared,
      normsQueryKey: true,
      localRope: parseRope(
        config,
        { ...shared, theta: 10_000 },
        sliding ?? { rope_type: 'default', rope_theta: json['rope_local_base_freq'] ?? 10_000 },
      ),
      windows: parseGemmaWindows(config, shared.layers, (layer) => (layer + 1) % pattern !== 0),
    };
  },
});
