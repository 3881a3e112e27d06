/**
 * Command R7B (Cohere 2024): both branches of a block read one layer norm without bias; three of
 * four blocks have a window and rotary positions, neighbours in pairs, the fourth neither.
 *
 *   y = x + attention(N(x)) + feedForward(N(x))
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseLayerTypes,
  parseWindow,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import { LAYER_NORM, LLAMA_FORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  norm: { ...LAYER_NORM, bias: false },
  norms: { attention: 'input_layernorm' },
  order: ['self', 'feedForward', 'attention'],
  isParallel: true,
};

/**
 * Cohere 2 (Command R7B), `model_type` `cohere2`. The reference is transformers' implementation.
 */
export const cohere2 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm'],
  family: 'Cohere 2',
  modelTypes: ['cohere2'],
  conventions: {
    cohere2: { adapterHub: { className: 'Cohere2' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('Cohere 2', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 256000,
      hiddenSize: 8192,
      layers: 40,
      heads: 64,
      feedForwardSize: 22528,
      maxPositions: 8192,
      isTied: true,
      epsilon: 1e-5,
      paddingId: 0,
      fields: { epsilon: 'layer_norm_eps' },
    });
    const hasBias = config.flag('attention_bias', false);
    const pattern = config.size('sliding_window_pattern', 4);
    const types = parseLayerTypes(config, shared.layers);
    const window = parseWindow(config, 4096);
    const windows = Array.from({ length: shared.layers }, (_, layer) =>
      (types ? types[layer] === 'sliding_attention' : (layer + 1) % pattern !== 0) ? window : 0,
    );
    return {
      ...shared,
      form: FORM,
      windows,
      turns: windows.map((each) => each > 0),
      rope: shared.rope && { ...shared.rope, interleaved: true },
      logitScale: config.number('logit_scale', 0.0625),
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
    };
  },
});
