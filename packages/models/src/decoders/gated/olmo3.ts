/**
 * OLMo 3 (OLMo Team 2025): OLMo 2 with a window in three of four blocks, which have rotary positions
 * of their own: those of the others are scaled, where the config scales any.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseWindow, parseWindows, type DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';
import { parseRope } from '../../decoder/rope-config.js';
import { parseOlmo } from './olmo2.js';

const THETA = 500_000;

/** OLMo 3, `model_type` `olmo3` (OLMo Team 2025). The reference is transformers' implementation. */
export const olmo3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm', 'sequence-classification'],
  family: 'OLMo 3',
  modelTypes: ['olmo3'],
  conventions: {
    olmo3: { adapterHub: { className: 'Olmo3' } },
  },
  parseConfig(json: ConfigJson) {
    const { full_attention: full, sliding_attention: sliding } = (json['rope_parameters'] ??
      {}) as Readonly<Record<string, unknown>>;
    const config = readConfig('OLMo 3', { ...json, rope_parameters: full ?? null });
    const shared = parseOlmo(config, { theta: THETA });
    return {
      ...shared,
      localRope: parseRope(
        config,
        { ...shared, theta: THETA },
        sliding ?? { rope_type: 'default' },
      ),
      windows: parseWindows(
        config,
        shared.layers,
        parseWindow(config, 4096),
        (layer) => (layer + 1) % 4 !== 0,
      ),
    };
  },
});
