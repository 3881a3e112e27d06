/**
 * StarCoder 2 (Lozhkov et al. 2024): `decoder.ts` with layer norms, biases, a plain feed-forward
 * network and a window in every block, where the config has one.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  type DecoderConfig,
} from '../../decoder/decoder-config.js';
import {
  LAYER_NORM,
  LLAMA_FORM,
  plainFeedForward,
  type DecoderForm,
} from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  norm: LAYER_NORM,
  ffn: plainFeedForward('mlp', 'c_fc', 'c_proj'),
};

/**
 * StarCoder 2, `model_type` `starcoder2` (Lozhkov et al. 2024). The reference is transformers'
 * implementation.
 */
export const starcoder2 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'StarCoder 2',
  modelTypes: ['starcoder2'],
  conventions: {
    starcoder2: { adapterHub: { className: 'Starcoder2' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('StarCoder 2', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 49152,
      hiddenSize: 3072,
      layers: 30,
      heads: 24,
      keyValueHeads: 2,
      feedForwardSize: 12288,
      maxPositions: 4096,
      isTied: true,
      epsilon: 1e-5,
      activation: 'gelu_pytorch_tanh',
      initializerRange: 0.018042,
      fields: { epsilon: 'norm_epsilon', residualDropout: 'residual_dropout' },
    });
    const hasBias = config.flag('use_bias', true);
    const window = parseWindow(config, 0);
    return {
      ...shared,
      form: FORM,
      embeddingDropout: config.rate('embedding_dropout', 0),
      windows: shared.windows.map(() => window),
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: hasBias },
    };
  },
});
