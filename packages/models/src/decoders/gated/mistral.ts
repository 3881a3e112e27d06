/**
 * Mistral (Jiang et al. 2023): `decoder.ts` with a window over the last tokens in every block,
 * where the config has one.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  parseWindows,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';

/**
 * Mistral, `model_type` `mistral` (Jiang et al. 2023). The reference is transformers'
 * implementation.
 */
export const mistral = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Mistral',
  modelTypes: ['mistral'],
  conventions: {
    mistral: {
      queryValueTargets: ['q_proj', 'v_proj'],
      adapterHub: { className: 'Mistral', swapsFeedForward: true },
    },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Mistral', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 32000,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      keyValueHeads: 8,
      feedForwardSize: 14336,
      maxPositions: 131072,
      isTied: false,
    });
    const window = parseWindow(config, 4096);
    return { ...shared, windows: parseWindows(config, shared.layers, window, () => true) };
  },
});
