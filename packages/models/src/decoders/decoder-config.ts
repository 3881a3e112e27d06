/**
 * The config of decoders with rotary positions and grouped heads, and the fields that their
 * families spell alike.
 */
import { PeftError } from '@peft/errors';
import { ropeFrequencies, type ActivationName, type RopeScaling } from '@peft/ops';
import { headSizeOf, type ConfigReader } from '../description/config-reader.js';

export interface RopeConfig {
  readonly theta: number;
  /** `rope_scaling` of the config. */
  readonly scaling: RopeScaling | undefined;
  /** Share of a head's columns that turn. */
  readonly partial: number;
}

export interface DecoderConfig {
  readonly modelType: string;
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly keyValueHeads: number;
  readonly headSize: number; // E
  readonly feedForwardSize: number; // F
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly maxPositions: number;
  readonly rope: RopeConfig;
  /** The output layer is the embedding. */
  readonly isTied: boolean;
  readonly bias: {
    readonly queryKeyValue: boolean;
    readonly output: boolean;
    readonly feedForward: boolean;
  };
  readonly attentionDropout: number;
  readonly residualDropout: number;
  readonly classifierDropout: number;
  /** Tokens that each block looks back over, itself included; 0: all. */
  readonly windows: readonly number[];
  /** RMS norm of each head's queries and keys. */
  readonly normsQueryKey: boolean;
  /** One projection makes queries, keys and values, one makes gate and up (Phi-3). */
  readonly isFused: boolean;
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
  readonly epsilon?: number;
  readonly paddingId?: number;
  readonly activation?: string;
  readonly activationField?: string;
}

/** The shared fields; a family overrides the rest. */
export function parseDecoderConfig(config: ConfigReader, defaults: DecoderDefaults): DecoderConfig {
  const hiddenSize = config.size('hidden_size', defaults.hiddenSize);
  const heads = config.size('num_attention_heads', defaults.heads);
  const keyValueHeads = config.size('num_key_value_heads', defaults.keyValueHeads ?? heads);
  if (heads % keyValueHeads !== 0)
    config.refuse(
      'num_key_value_heads',
      keyValueHeads,
      `a divisor of num_attention_heads (${heads})`,
    );
  const headSize =
    config.json['head_dim'] === undefined || config.json['head_dim'] === null
      ? (defaults.headSize ?? headSizeOf(config, hiddenSize, heads, 'num_attention_heads'))
      : config.size('head_dim');
  const maxPositions = config.size('max_position_embeddings', defaults.maxPositions);
  const layers = config.size('num_hidden_layers', defaults.layers);
  return {
    modelType: String(config.json['model_type']),
    vocabularySize: config.size('vocab_size', defaults.vocabularySize),
    hiddenSize,
    layers,
    heads,
    keyValueHeads,
    headSize,
    feedForwardSize: config.size('intermediate_size', defaults.feedForwardSize),
    activation: config.activation(
      defaults.activationField ?? 'hidden_act',
      defaults.activation ?? 'silu',
    ),
    epsilon: config.positive('rms_norm_eps', defaults.epsilon ?? 1e-6),
    maxPositions,
    rope: parseRope(config, { headSize, maxPositions, theta: defaults.theta ?? 10_000 }),
    isTied: config.flag('tie_word_embeddings', defaults.isTied),
    bias: { queryKeyValue: false, output: false, feedForward: false },
    attentionDropout: config.rate('attention_dropout', 0),
    residualDropout: 0,
    classifierDropout: config.rate('classifier_dropout', config.rate('hidden_dropout', 0.1)),
    windows: Array.from({ length: layers }, () => 0),
    normsQueryKey: false,
    isFused: false,
    paddingId: 'pad_token_id' in config.json ? config.tokenId('pad_token_id') : defaults.paddingId,
    initializerRange: config.positive('initializer_range', 0.02),
  };
}

/**
 * Both spellings: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
 * @param fields names of a second set (Gemma 3's local positions).
 */
export function parseRope(
  config: ConfigReader,
  {
    headSize,
    maxPositions,
    theta,
  }: { readonly headSize: number; readonly maxPositions: number; readonly theta: number },
  own?: unknown,
): RopeConfig {
  const { json } = config;
  const field = own !== undefined || json['rope_parameters'] ? 'rope_parameters' : 'rope_scaling';
  const given = own ?? json['rope_parameters'] ?? json['rope_scaling'] ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) config.refuse(field, given, 'an object');
  const values = given as Readonly<Record<string, unknown>>;
  const number = (key: string, fallback: number): number => {
    const value = values[key] ?? json[key] ?? fallback;
    return typeof value === 'number' && value > 0
      ? value
      : config.refuse(key, value, 'a number > 0');
  };
  const rope: RopeConfig = {
    theta: number('rope_theta', theta),
    scaling: Object.keys(values).length ? scalingOf(json, values) : undefined,
    partial: number('partial_rotary_factor', 1),
  };
  try {
    ropeFrequencies({
      rotarySize: Math.floor(headSize * rope.partial),
      theta: rope.theta,
      scaling: rope.scaling,
      maxPositions,
    });
  } catch (error) {
    if (error instanceof PeftError)
      config.refuse(field, given, 'a supported kind of rotary positions', error.message);
    throw error;
  }
  return rope;
}

/** Old files keep the original length at the top. */
function scalingOf(
  json: Readonly<Record<string, unknown>>,
  values: Readonly<Record<string, unknown>>,
): RopeScaling {
  const original = json['original_max_position_embeddings'];
  return original !== undefined && values['original_max_position_embeddings'] === undefined
    ? { ...values, original_max_position_embeddings: original }
    : values;
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
  const types = config.json['layer_types'];
  if (types !== undefined && types !== null) {
    const known =
      Array.isArray(types) &&
      types.length === layers &&
      types.every((type) => type === 'sliding_attention' || type === 'full_attention');
    if (!known)
      config.refuse(
        'layer_types',
        types,
        `a list of ${layers} times "full_attention" or "sliding_attention"`,
      );
    return (types as string[]).map((type) => (type === 'sliding_attention' ? window : 0));
  }
  return Array.from({ length: layers }, (_, layer) => (isSliding(layer) ? window : 0));
}
