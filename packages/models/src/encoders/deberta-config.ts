/** DeBERTa-v2's `config.json`. */
import type { ActivationName } from '@peft/ops';
import { headSizeOf, type ConfigReader } from '../description/config-reader.js';

/** What a DeBERTa-v2 or v3 model is made of. */
export interface DebertaConfig {
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly embeddingSize: number;
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly activation: ActivationName;
  readonly positions: number;
  /** Absolute positions are added to the embeddings. */
  readonly hasAbsolutePositions: boolean;
  readonly tokenTypes: number;
  /** Absent: plain attention. */
  readonly relative?: {
    readonly positionBuckets: number;
    readonly maxRelativePositions: number;
    /** The table of relative embeddings passes a layer norm. */
    readonly isNormed: boolean;
  };
  /** Content to position, position to content. */
  readonly contentToPosition: boolean;
  readonly positionToContent: boolean;
  /** Relative embeddings are projected by the key and query projections themselves. */
  readonly sharesProjections: boolean;
  /** Absent: no convolution. */
  readonly convolution?: { readonly kernel: number; readonly activation: ActivationName };
  readonly epsilon: number;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  readonly poolerDropout: number;
  readonly poolerActivation: ActivationName;
  readonly classifierDropout: number;
  readonly initializerRange: number;
}

/** @throws PEFT_MODEL_CONFIG */
export function parseDebertaConfig(config: ConfigReader): DebertaConfig {
  const { json } = config;
  const hiddenSize = config.size('hidden_size', 1536);
  const heads = config.size('num_attention_heads', 24);
  const positions = config.size('max_position_embeddings', 512);
  const hiddenDropout = config.rate('hidden_dropout_prob', 0.1);
  const kernel = config.count('conv_kernel_size', 0);
  if (kernel > 0 && kernel % 2 === 0)
    config.refuse('conv_kernel_size', kernel, 'odd, or 0 for no convolution');
  if (kernel > 0) config.only('conv_groups', 1, 'grouped convolutions are not supported');
  config.only(
    'attention_head_size',
    headSizeOf(config, hiddenSize, heads, 'num_attention_heads'),
    'heads divide the width',
  );
  config.only('pooler_hidden_size', hiddenSize, 'the pooler is as wide as the model');
  const terms = json['pos_att_type'] ?? [];
  const words = typeof terms === 'string' ? wordsOf(terms).filter(Boolean) : terms;
  const types: readonly unknown[] = Array.isArray(words) ? words : [words];
  if (types.some((type) => type !== 'c2p' && type !== 'p2c'))
    config.refuse(
      'pos_att_type',
      terms,
      'made of "c2p" and "p2c"',
      'position to position belongs to DeBERTa v1 and is not supported',
    );
  const normed =
    typeof json['norm_rel_ebd'] === 'string' ? wordsOf(json['norm_rel_ebd']) : ['none'];
  if (normed.some((word) => word !== 'layer_norm' && word !== 'none'))
    config.refuse('norm_rel_ebd', json['norm_rel_ebd'], '"layer_norm" or "none"');
  const maxRelative = config.number('max_relative_positions', -1);
  return {
    vocabularySize: config.size('vocab_size', 128100),
    hiddenSize,
    embeddingSize: config.size('embedding_size', hiddenSize),
    layers: config.size('num_hidden_layers', 24),
    heads,
    feedForwardSize: config.size('intermediate_size', 6144),
    activation: config.activation('hidden_act', 'gelu'),
    positions,
    hasAbsolutePositions: config.flag('position_biased_input', true),
    tokenTypes: config.count('type_vocab_size', 0),
    relative: config.flag('relative_attention', false)
      ? {
          positionBuckets: config.number('position_buckets', -1),
          maxRelativePositions: maxRelative < 1 ? positions : maxRelative,
          isNormed: normed.includes('layer_norm'),
        }
      : undefined,
    contentToPosition: types.includes('c2p'),
    positionToContent: types.includes('p2c'),
    sharesProjections: config.flag('share_att_key', false),
    convolution:
      kernel > 0 ? { kernel, activation: config.activation('conv_act', 'tanh') } : undefined,
    epsilon: config.positive('layer_norm_eps', 1e-7),
    hiddenDropout,
    attentionDropout: config.rate('attention_probs_dropout_prob', 0.1),
    poolerDropout: config.rate('pooler_dropout', 0),
    poolerActivation: config.activation('pooler_hidden_act', 'gelu'),
    classifierDropout: config.rate('cls_dropout', hiddenDropout),
    initializerRange: config.positive('initializer_range', 0.02),
  };
}

/** `"C2P| p2c"` → `['c2p', 'p2c']` */
const wordsOf = (list: string): string[] =>
  list
    .toLowerCase()
    .split('|')
    .map((word) => word.trim());

/** Rows of the relative embeddings on either side of 0. */
export const spanOf = ({
  positionBuckets,
  maxRelativePositions,
}: NonNullable<DebertaConfig['relative']>): number =>
  positionBuckets > 0 ? positionBuckets : maxRelativePositions;
