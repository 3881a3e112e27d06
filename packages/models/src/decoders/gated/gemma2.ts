/**
 * Gemma 2 (Gemma Team 2024): Gemma with a norm before and after each branch, capped scores and
 * logits, and a window in every second block, the first one included.
 *
 *   a = x + N₂(attention(N₁(x))), y = a + N₄(feedForward(N₃(a))), N the RMS norms
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import type { DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import { gemmaForm, parseGemma, parseGemmaScores, parseGemmaWindows } from './gemma.js';

/**
 * Gemma 2, `model_type` `gemma2` (Gemma Team 2024). The reference is transformers' implementation.
 */
export const gemma2 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Gemma 2',
  modelTypes: ['gemma2'],
  conventions: {
    gemma2: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Gemma2' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Gemma 2', json);
    const shared = parseGemma(config, {
      vocabularySize: 256000,
      keyValueHeads: 4,
      maxPositions: 8192,
    });
    return {
      ...shared,
      ...parseGemmaScores(config, { scoreCap: 50, logitCap: 30 }),
      form: gemmaForm(false),
      windows: parseGemmaWindows(config, shared.layers, (layer) => layer % 2 === 0),
    };
  },
});
