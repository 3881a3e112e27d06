/**
 * Phi-3 (Abdin et al. 2024): `decoder.ts` with one projection for queries, keys and values and one
 * for gate and up, and dropout of both branches.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { parseDecoderConfig, parseWindows, type DecoderConfig } from './decoder-config.js';
import { decoderParts } from './decoder.js';

export const phi3 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Phi-3',
  modelTypes: ['phi3'],
  parseConfig(json: ConfigJson) {
    const config = readConfig('Phi-3', withLongRope(json));
    const shared = parseDecoderConfig(config, {
      vocabularySize: 32064,
      hiddenSize: 3072,
      layers: 32,
      heads: 32,
      feedForwardSize: 8192,
      maxPositions: 4096,
      isTied: false,
      epsilon: 1e-5,
      paddingId: 32000,
    });
    const window =
      json['sliding_window'] === undefined || json['sliding_window'] === null
        ? 0
        : config.size('sliding_window');
    return {
      ...shared,
      isFused: true,
      residualDropout: config.rate('resid_pdrop', 0),
      windows: parseWindows(config, shared.layers, window, () => true),
    };
  },
});

/** Early files call the long rotary positions "su" or "yarn". */
function withLongRope(json: ConfigJson): ConfigJson {
  const field = json['rope_parameters'] ? 'rope_parameters' : 'rope_scaling';
  const given = json[field] as Readonly<Record<string, unknown>> | null | undefined;
  const type = given?.['rope_type'] ?? given?.['type'];
  return type === 'su' || type === 'yarn'
    ? { ...json, [field]: { ...given, rope_type: 'longrope' } }
    : json;
}
