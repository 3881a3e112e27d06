/**
 * Gemma 3's text model (Gemma Team 2025): Gemma 2 with normed queries and keys in place of caps, a
 * window in five of six blocks, and rotary positions of base 10,000 there, 1,000,000 in the others.
 * Of a checkpoint for texts and images (`gemma3`) the text model is read.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { nestedTextConfig, withNestedNames } from '../../description/multimodal-text.js';
import type { DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import { parseRope } from '../../decoder/rope-config.js';
import { gemmaForm, parseGemma, parseGemmaScores, parseGemmaWindows } from './gemma.js';

/**
 * Gemma 3's text part, `model_type` `gemma3_text`, `gemma3` (Gemma Team 2025). The reference is
 * transformers' implementation.
 */
export const gemma3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Gemma 3',
  modelTypes: ['gemma3_text', 'gemma3'],
  conventions: {
    gemma3_text: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Gemma3' } },
  },
  describe: (config, head) =>
    config.modelType === 'gemma3'
      ? withNestedNames(decoderParts.describe(config, head))
      : decoderParts.describe(config, head),
  parseConfig(whole: ConfigJson) {
    const json = whole['model_type'] === 'gemma3' ? nestedTextConfig('Gemma 3', whole) : whole;
    const { full_attention: full, sliding_attention: sliding } = (json['rope_parameters'] ??
      {}) as Readonly<Record<string, unknown>>;
    const config = readConfig('Gemma 3', { ...json, rope_parameters: full ?? null });
    const shared = parseGemma(config, {
      vocabularySize: 262208,
      keyValueHeads: 4,
      maxPositions: 131072,
      theta: 1_000_000,
    });
    const pattern = config.size('sliding_window_pattern', 6);
    return {
      ...shared,
      // attn_logit_softcapping is in its config, and transformers' attention does not read it
      ...parseGemmaScores(config, { logitCap: 0 }),
      form: gemmaForm(true),
      localRope: parseRope(
        config,
        { ...shared, theta: 10_000 },
        sliding ?? { rope_type: 'default', rope_theta: json['rope_local_base_freq'] ?? 10_000 },
      ),
      windows: parseGemmaWindows(config, shared.layers, (layer) => (layer + 1) % pattern !== 0),
    };
  },
});
