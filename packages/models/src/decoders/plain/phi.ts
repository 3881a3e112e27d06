/**
 * Phi-1, 1.5 and 2 (Gunasekar et al. 2023): both branches read one layer norm; rotary positions on
 * part of a head, biases everywhere, the output layer's included.
 *
 *   y = x + attention(N(x)) + feedForward(N(x))
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
  finalNorm: 'final_layernorm',
  outputHasBias: true,
  norm: LAYER_NORM,
  norms: { attention: 'input_layernorm' },
  order: ['self', 'feedForward', 'attention'],
  attention: { ...LLAMA_FORM.attention, output: 'dense' },
  ffn: plainFeedForward('mlp', 'fc1', 'fc2'),
  isParallel: true,
};

const NORMED: DecoderForm = {
  ...FORM,
  attention: {
    ...FORM.attention,
    norms: { query: 'q_layernorm', key: 'k_layernorm', over: 'head', norm: LAYER_NORM },
  },
};

/**
 * Phi-1 to Phi-2, `model_type` `phi` (Li et al. 2023). The reference is transformers'
 * implementation.
 */
export const phi = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Phi',
  modelTypes: ['phi'],
  conventions: {
    phi: {
      queryValueTargets: ['q_proj', 'v_proj', 'fc1', 'fc2'],
      adapterHub: { className: 'Phi' },
    },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Phi', json);
    return {
      ...parseDecoderConfig(config, {
        vocabularySize: 51200,
        hiddenSize: 2048,
        layers: 24,
        heads: 32,
        feedForwardSize: 8192,
        maxPositions: 2048,
        isTied: false,
        epsilon: 1e-5,
        activation: 'gelu_new',
        partialRotary: 0.5,
        fields: { epsilon: 'layer_norm_eps', residualDropout: 'resid_pdrop' },
      }),
      form: config.flag('qk_layernorm', false) ? NORMED : FORM,
      embeddingDropout: config.rate('embd_pdrop', 0),
      bias: { queryKeyValue: true, output: true, feedForward: true },
    };
  },
});
