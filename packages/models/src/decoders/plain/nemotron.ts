/**
 * Nemotron-4 and Minitron (Parmar et al. 2024): `decoder.ts` with layer norms whose γ is stored less
 * 1, rotary positions on half of a head and a plain feed-forward network of squared ReLUs.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import {
  LAYER_NORM,
  LLAMA_FORM,
  plainFeedForward,
  type DecoderForm,
} from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  norm: { ...LAYER_NORM, gammaOffset: 1 },
  ffn: plainFeedForward('mlp', 'up_proj', 'down_proj'),
};

/**
 * Nemotron, `model_type` `nemotron` (Parmar et al. 2024). The reference is transformers'
 * implementation.
 */
export const nemotron = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Nemotron',
  modelTypes: ['nemotron'],
  conventions: {
    nemotron: { adapterHub: { className: 'Nemotron' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Nemotron', json);
    const hasBias = config.flag('attention_bias', false);
    return {
      ...parseDecoderConfig(config, {
        vocabularySize: 256000,
        hiddenSize: 6144,
        layers: 32,
        heads: 48,
        feedForwardSize: 24576,
        maxPositions: 4096,
        isTied: false,
        epsilon: 1e-5,
        activation: 'relu2',
        partialRotary: 0.5,
        initializerRange: 0.0134,
        fields: { epsilon: 'norm_eps' },
      }),
      form: FORM,
      bias: {
        queryKeyValue: hasBias,
        output: hasBias,
        feedForward: config.flag('mlp_bias', false),
      },
    };
  },
});
