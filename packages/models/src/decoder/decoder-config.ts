/**
 * The config of decoders with causal attention and grouped heads, and the fields that their
 * families spell alike.
 */
import type { ActivationName } from '@peft/ops';
import { headSizeOf, type ConfigReader } from '../description/config-reader.js';
import { LLAMA_FORM, type DecoderForm } from './decoder-form.js';
import type { ExpertsConfig } from './experts-config.js';
import type { LatentAttentionConfig } from './latent-attention-config.js';
import { parseRope, type RopeConfig } from './rope-config.js';

/** What the `config.json` of a decoder says, checked, in this package's words. */
export interface DecoderConfig {
  readonly modelType: string;
  readonly form: DecoderForm;
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  /** Width of the word embeddings and of the last state (OPT); D where the family has no choice. */
  readonly wordSize: number;
  readonly layers: number;
  readonly heads: number; // H
  readonly keyValueHeads: number;
  readonly headSize: number; // E
  readonly feedForwardSize: number; // F
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly maxPositions: number;
  readonly rope: RopeConfig | undefined;
  /** Rotary positions of the blocks with a window, where they differ (Gemma 3). */
  readonly localRope?: RopeConfig;
  /** Whether a block's queries and keys turn. */
  readonly turns: readonly boolean[];
  /** A table of positions that is added to the embeddings; its rows begin at `offset`. */
  readonly learnedPositions?: { readonly path: string; readonly offset: number };
  /** The score of (i, j) gains slope·(j − i) of its head (ALiBi, Press et al. 2022). */
  readonly slopes?: readonly number[];
  /** A norm of the embeddings (BLOOM). */
  readonly embeddingNorm?: string;
  /** Projections between `wordSize` and D (OPT). */
  readonly projections?: { readonly in: string; readonly out: string };
  /** The last state is as the last block left it (OPT 350M). */
  readonly hasFinalNorm: boolean;
  /** The output layer is the embedding. */
  readonly isTied: boolean;
  readonly bias: {
    readonly queryKeyValue: boolean;
    readonly output: boolean;
    readonly feedForward: boolean;
  };
  readonly embeddingDropout: number;
  readonly attentionDropout: number;
  /** Of both branches, or of each. */
  readonly residualDropout: number;
  readonly ffnDropout?: number;
  readonly classifierDropout: number;
  /** Tokens that each block looks back over, itself included; 0: all. */
  readonly windows: readonly number[];
  /** Of the embedding's rows, given embeddings apart (Gemma: √D). */
  readonly tableScale: number;
  /** Of all embeddings (Granite). */
  readonly embeddingScale: number;
  /** Of scores; default 1/√E. */
  readonly attentionScale: number | undefined;
  /** Of what a branch adds. */
  readonly residualScale: number;
  readonly logitScale: number;
  /** 0: none. */
  readonly scoreCap: number;
  readonly logitCap: number;
  /** Queries, keys and values are kept within ±clip (MPT); 0: no bound. */
  readonly queryKeyValueClip: number;
  /** A feed-forward network of experts, in the blocks that have one. */
  readonly experts?: ExpertsConfig;
  /** A logit of each head that no key has: its share of the probabilities goes nowhere (gpt-oss). */
  readonly hasSinks?: boolean;
  /** Keys and values from a compressed state (DeepSeek). */
  readonly latent?: LatentAttentionConfig;
  readonly paddingId: number | undefined;
  readonly initializerRange: number;
}

/** Where families differ before their config is read. */
export interface DecoderDefaults {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForwardSize: number;
  readonly keyValueHeads?: number;
  readonly headSize?: number;
  readonly maxPositions: number;
  readonly isTied: boolean;
  readonly theta?: number;
  /** Share of a head's columns that turn. */
  readonly partialRotary?: number;
  readonly epsilon?: number;
  readonly paddingId?: number;
  readonly activation?: string;
  readonly initializerRange?: number;
  /** What the family calls its fields, where not as Llama. */
  readonly fields?: Partial<Readonly<Record<DecoderField, string>>>;
}

type DecoderField =
  | 'activation'
  | 'epsilon'
  | 'hiddenSize'
  | 'layers'
  | 'heads'
  | 'keyValueHeads'
  | 'feedForwardSize'
  | 'maxPositions'
  | 'attentionDropout'
  | 'residualDropout'
  | 'initializerRange';

const FIELDS: Readonly<Record<DecoderField, string>> = {
  activation: 'hidden_act',
  epsilon: 'rms_norm_eps',
  hiddenSize: 'hidden_size',
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  keyValueHeads: 'num_key_value_heads',
  feedForwardSize: 'intermediate_size',
  maxPositions: 'max_position_embeddings',
  attentionDropout: 'attention_dropout',
  residualDropout: 'hidden_dropout',
  initializerRange: 'initializer_range',
};

/** The shared fields; a family overrides the rest. */
export function parseDecoderConfig(config: ConfigReader, defaults: DecoderDefaults): DecoderConfig {
  const fields = { ...FIELDS, ...defaults.fields };
  const hiddenSize = config.size(fields.hiddenSize, defaults.hiddenSize);
  const heads = config.size(fields.heads, defaults.heads);
  const keyValueHeads = config.size(fields.keyValueHeads, defaults.keyValueHeads ?? heads);
  if (heads % keyValueHeads !== 0)
    config.refuse(fields.keyValueHeads, keyValueHeads, `a divisor of ${fields.heads} (${heads})`);
  const headSize =
    config.json['head_dim'] === undefined || config.json['head_dim'] === null
      ? (defaults.headSize ?? headSizeOf(config, hiddenSize, heads, fields.heads))
      : config.size('head_dim');
  const maxPositions = config.size(fields.maxPositions, defaults.maxPositions);
  const layers = config.size(fields.layers, defaults.layers);
  return {
    modelType: String(config.json['model_type']),
    form: LLAMA_FORM,
    vocabularySize: config.size('vocab_size', defaults.vocabularySize),
    hiddenSize,
    wordSize: hiddenSize,
    layers,
    heads,
    keyValueHeads,
    headSize,
    feedForwardSize: config.size(fields.feedForwardSize, defaults.feedForwardSize),
    activation: config.activation(fields.activation, defaults.activation ?? 'silu'),
    epsilon: config.positive(fields.epsilon, defaults.epsilon ?? 1e-6),
    maxPositions,
    rope: parseRope(config, {
      headSize,
      maxPositions,
      theta: defaults.theta ?? 10_000,
      partial: defaults.partialRotary ?? 1,
    }),
    turns: Array.from({ length: layers }, () => true),
    hasFinalNorm: true,
    isTied: config.flag('tie_word_embeddings', defaults.isTied),
    bias: { queryKeyValue: false, output: false, feedForward: false },
    embeddingDropout: 0,
    attentionDropout: config.rate(fields.attentionDropout, 0),
    residualDropout: defaults.fields?.residualDropout ? config.rate(fields.residualDropout, 0) : 0,
    classifierDropout: config.rate('classifier_dropout', config.rate('hidden_dropout', 0.1)),
    windows: Array.from({ length: layers }, () => 0),
    tableScale: 1,
    embeddingScale: 1,
    attentionScale: undefined,
    residualScale: 1,
    logitScale: 1,
    scoreCap: 0,
    logitCap: 0,
    queryKeyValueClip: 0,
    paddingId: 'pad_token_id' in config.json ? config.tokenId('pad_token_id') : defaults.paddingId,
    initializerRange: config.positive(fields.initializerRange, defaults.initializerRange ?? 0.02),
  };
}

/**
 * The window of each block: `layer_types` where the config lists them, else `isSliding(block)`.
 * @param window `sliding_window`, 0 for none.
 */
export function parseWindows(
  config: ConfigReader,
  layers: number,
  window: number,
  isSliding: (layer: number) => boolean,
): number[] {
  const types = parseLayerTypes(config, layers);
  return Array.from({ length: layers }, (_, layer) =>
    (types ? types[layer] === 'sliding_attention' : isSliding(layer)) ? window : 0,
  );
}

/** `layer_types`, undefined where the config does not list them. */
export function parseLayerTypes(
  config: ConfigReader,
  layers: number,
): readonly ('sliding_attention' | 'full_attention')[] | undefined {
  const types = config.json['layer_types'];
  if (types === undefined || types === null) return undefined;
  const known =
    Array.isArray(types) &&
    types.length === layers &&
    types.every((type) => type === 'sliding_attention' || type === 'full_attention');
  return known
    ? (types as ('sliding_attention' | 'full_attention')[])
    : config.refuse(
        'layer_types',
        types,
        `a list of ${layers} times "full_attention" or "sliding_attention"`,
      );
}

/** `sliding_window`: null is none, absent the family's default. */
export function parseWindow(config: ConfigReader, fallback: number): number {
  const given = config.json['sliding_window'];
  if (given === null || (given === undefined && fallback === 0)) return 0;
  return config.size('sliding_window', fallback);
}
