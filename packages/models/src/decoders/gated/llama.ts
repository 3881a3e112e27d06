/**
 * Llama 1, 2 and 3 (Touvron et al. 2023, Grattafiori et al. 2024): the plain form of `decoder.ts`;
 * 3.1 and later scale their rotary positions.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { decoderParts } from '../../decoder/decoder.js';

/**
 * Llama 1 to 3, `model_type` `llama` (Touvron et al. 2023). The reference is transformers'
 * implementation.
 */
export const llama = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Llama',
  modelTypes: ['llama'],
  conventions: {
    llama: {
      queryValueTargets: ['q_proj', 'v_proj'],
      adapterHub: { className: 'Llama', swapsFeedForward: true },
    },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Llama', json);
    const hasBias = config.flag('attention_bias', false);
    return {
      ...parseDecoderConfig(config, {
        vocabularySize: 32000,
        hiddenSize: 4096,
        layers: 32,
        heads: 32,
        feedForwardSize: 11008,
        maxPositions: 2048,
        isTied: false,
      }),
      bias: {
        queryKeyValue: hasBias,
        output: hasBias,
        feedForward: config.flag('mlp_bias', false),
      },
    };
  },
});
