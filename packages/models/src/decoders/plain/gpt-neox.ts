/**
 * GPT-NeoX and Pythia (Black et al. 2022, Biderman et al. 2023): layer norms, one projection for
 * queries, keys and values, rotary positions on a quarter of a head, and both branches of a block
 * side by side,
 *
 *   y = x + attention(N₁(x)) + feedForward(N₂(x))
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import {
  fusedAttention,
  LAYER_NORM,
  LLAMA_FORM,
  plainFeedForward,
  type DecoderForm,
} from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  prefix: 'gpt_neox',
  word: 'embed_in',
  finalNorm: 'final_layer_norm',
  outputAliases: ['embed_out'],
  tokenHead: 'classifier',
  norm: LAYER_NORM,
  order: ['attention', 'ffn', 'self', 'feedForward'],
  attention: fusedAttention('attention', 'groups', 'query_key_value', 'dense'),
  ffn: plainFeedForward('mlp', 'dense_h_to_4h', 'dense_4h_to_h'),
};

/**
 * GPT-NeoX and Pythia, `model_type` `gpt_neox` (Black et al. 2022). The reference is transformers'
 * implementation.
 */
export const gptNeox = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'GPT-NeoX',
  modelTypes: ['gpt_neox'],
  conventions: {
    gpt_neox: { queryValueTargets: ['query_key_value'], adapterHub: { className: 'GPTNeoX' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('GPT-NeoX', withOldRotary(json));
    const shared = parseDecoderConfig(config, {
      vocabularySize: 50432,
      hiddenSize: 6144,
      layers: 44,
      heads: 64,
      feedForwardSize: 24576,
      maxPositions: 2048,
      isTied: false,
      epsilon: 1e-5,
      activation: 'gelu',
      partialRotary: 0.25,
      fields: { epsilon: 'layer_norm_eps', residualDropout: 'hidden_dropout' },
    });
    const hasBias = config.flag('attention_bias', true);
    return {
      ...shared,
      form: { ...FORM, isParallel: config.flag('use_parallel_residual', true) },
      embeddingDropout: config.rate('hidden_dropout', 0),
      classifierDropout: config.rate('classifier_dropout', 0.1),
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: true },
    };
  },
});

/** Files of transformers 4 call the share of a head `rotary_pct`, the base `rotary_emb_base`. */
const withOldRotary = (json: ConfigJson): ConfigJson => ({
  ...json,
  num_key_value_heads: null,
  head_dim: null,
  partial_rotary_factor: json['partial_rotary_factor'] ?? json['rotary_pct'],
  rope_theta: json['rope_theta'] ?? json['rotary_emb_base'],
});
