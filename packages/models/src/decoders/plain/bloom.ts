/**
 * BLOOM (BigScience 2022): a norm of the embeddings, scores that fall with the distance (ALiBi), one
 * projection for queries, keys and values.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { alibiSlopes } from '../../decoder/alibi-bias.js';
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
  prefix: 'transformer',
  word: 'word_embeddings',
  blocks: 'h',
  finalNorm: 'ln_f',
  tokenHead: 'classifier',
  norm: LAYER_NORM,
  order: ['attention', 'self', 'ffn', 'feedForward'],
  attention: fusedAttention('self_attention', 'groups', 'query_key_value', 'dense'),
  ffn: plainFeedForward('mlp', 'dense_h_to_4h', 'dense_4h_to_h'),
};

/** As many positions as a bias can have; the family has no bound of its own. */
const MOST_POSITIONS = 2 ** 20;

/**
 * BLOOM, `model_type` `bloom` (BigScience Workshop 2022). The reference is transformers'
 * implementation.
 */
export const bloom = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'BLOOM',
  modelTypes: ['bloom'],
  conventions: {
    bloom: { queryValueTargets: ['query_key_value'], adapterHub: { className: 'Bloom' } },
  },
  parseConfig(json: ConfigJson) {
    const hiddenSize = json['n_embed'] ?? json['hidden_size'] ?? 64;
    const config = readConfig('BLOOM', {
      ...json,
      hidden_size: hiddenSize,
      ffn: 4 * Number(hiddenSize),
      num_key_value_heads: null,
      head_dim: null,
      hidden_act: null, // its own approximation of GELU, whatever the config says
      max_position_embeddings: MOST_POSITIONS,
    });
    const shared = parseDecoderConfig(config, {
      vocabularySize: 250880,
      hiddenSize: 64,
      layers: 2,
      heads: 8,
      feedForwardSize: 256,
      maxPositions: MOST_POSITIONS,
      isTied: true,
      epsilon: 1e-5,
      activation: 'gelu_pytorch_tanh',
      fields: {
        layers: 'n_layer',
        heads: 'n_head',
        feedForwardSize: 'ffn',
        epsilon: 'layer_norm_epsilon',
        residualDropout: 'hidden_dropout',
      },
    });
    return {
      ...shared,
      form: {
        ...FORM,
        addsToNormed: config.flag('apply_residual_connection_post_layernorm', false),
      },
      rope: undefined,
      slopes: alibiSlopes(shared.heads),
      embeddingNorm: 'word_embeddings_layernorm',
      bias: { queryKeyValue: true, output: true, feedForward: true },
    };
  },
});
