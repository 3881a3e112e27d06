/** What llama.cpp is told of a model's shape, from its parsed config. */
import type { GgufEntry } from '@peft/hub';
import type { DecoderConfig, Gpt2Config, RopeConfig } from '@peft/models';
import { ropeFrequencies } from '@peft/ops';
import { unsupported } from '../unsupported.js';

/** A model's part of the metadata, and tensors that hold nothing trained. */
export interface ModelMetadata {
  readonly entries: readonly GgufEntry[];
  /** float32 vectors by name: factors of rotary positions. */
  readonly tables: Readonly<Record<string, Float32Array>>;
  readonly warnings: readonly string[];
}

const TARGET = 'llama.cpp';

/**
 * @param architecture as llama.cpp calls it.
 * @param config as the family's `parseConfig` made it.
 * @throws PEFT_EXPORT_UNSUPPORTED
 */
export function modelMetadata(
  architecture: string,
  config: DecoderConfig | Gpt2Config,
): ModelMetadata {
  if (architecture === 'gpt2') return gpt2Metadata(config as Gpt2Config);
  return decoderMetadata(architecture, config as DecoderConfig);
}

function gpt2Metadata(config: Gpt2Config): ModelMetadata {
  if (config.activation !== 'gelu_tanh')
    throw unsupported(
      TARGET,
      `computes GPT-2 with gelu_new, not ${config.activation}`,
      'use safetensors',
    );
  if (!config.scalesScores || config.scalesByLayer)
    throw unsupported(TARGET, 'divides the scores of GPT-2 by √E alone', 'use safetensors');
  const put = entriesOf('gpt2');
  return {
    entries: [
      put('block_count', config.layers),
      put('context_length', config.positions),
      put('embedding_length', config.hiddenSize),
      put('feed_forward_length', config.feedForwardSize),
      put('attention.head_count', config.heads),
      put('attention.layer_norm_epsilon', config.epsilon, 'f32'),
      put('vocab_size', config.vocabularySize),
    ],
    tables: {},
    warnings: [],
  };
}

const entriesOf =
  (architecture: string) =>
  (key: string, value: number | string, type: GgufEntry['type'] = 'u32'): GgufEntry => ({
    key: `${architecture}.${key}`,
    type,
    value,
  });

function decoderMetadata(architecture: string, config: DecoderConfig): ModelMetadata {
  const isGemma = architecture.startsWith('gemma');
  const activation = isGemma ? 'gelu_tanh' : 'silu';
  if (config.activation !== activation)
    throw unsupported(
      TARGET,
      `computes ${architecture} with ${activation}, not ${config.activation}`,
      'use safetensors',
    );
  const put = entriesOf(architecture);
  const turning = config.rope;
  if (!turning)
    throw unsupported(TARGET, `turns positions in ${architecture} always`, 'use safetensors');
  const rotarySize = Math.floor(config.headSize * turning.partial);
  const rope = ropeMetadata(put, turning, rotarySize, config.maxPositions);
  const windows = windowMetadata(put, architecture, config);
  return {
    entries: [
      put('block_count', config.layers),
      put('context_length', windows.contextLength),
      put('embedding_length', config.hiddenSize),
      put('feed_forward_length', config.feedForwardSize),
      put('attention.head_count', config.heads),
      put('attention.head_count_kv', config.keyValueHeads),
      put('attention.key_length', config.headSize),
      put('attention.value_length', config.headSize),
      put('attention.layer_norm_rms_epsilon', config.epsilon, 'f32'),
      put('vocab_size', config.vocabularySize),
      put('rope.dimension_count', rotarySize),
      ...rope.entries,
      ...windows.entries,
      ...(isGemma ? gemmaEntries(put, architecture, config) : []),
    ],
    tables: rope.tables,
    warnings: [...rope.warnings, ...windows.warnings],
  };
}

type Put = ReturnType<typeof entriesOf>;

function gemmaEntries(put: Put, architecture: string, config: DecoderConfig): GgufEntry[] {
  const caps = [
    ...(config.scoreCap > 0 ? [put('attn_logit_softcapping', config.scoreCap, 'f32')] : []),
    ...(config.logitCap > 0 ? [put('final_logit_softcapping', config.logitCap, 'f32')] : []),
  ];
  const usesCaps = architecture === 'gemma2';
  if (usesCaps !== config.scoreCap > 0 || (usesCaps && config.logitCap === 0))
    throw unsupported(
      TARGET,
      usesCaps ? 'caps the scores of gemma2 always' : `has no capped scores for ${architecture}`,
      'use safetensors',
    );
  const local = config.localRope ?? config.rope!;
  const { scaling } = local;
  const isPlain = (scaling?.['rope_type'] ?? scaling?.['type'] ?? 'default') === 'default';
  // one that is the whole context's own may be scaled with it
  if (!isPlain && config.localRope)
    throw unsupported(TARGET, 'scales the positions of whole contexts alone', 'use safetensors');
  return [...caps, put('rope.freq_base_swa', local.theta, 'f32')];
}

/**
 * The factor of queries that makes up for a `query_pre_attn_scalar` which llama.cpp does not read:
 * it divides scores by √E, or √(D/H) in the models of 27 billion weights, known by their blocks.
 */
export function queryFactor(architecture: string, config: DecoderConfig): number {
  const largest = { gemma2: 46, gemma3: 62 }[architecture];
  if (largest === undefined) return 1;
  const divisor = config.layers === largest ? config.hiddenSize / config.heads : config.headSize;
  return (config.attentionScale ?? 1 / Math.sqrt(config.headSize)) * Math.sqrt(divisor);
}

function windowMetadata(
  put: Put,
  architecture: string,
  { windows, maxPositions, layers }: DecoderConfig,
): {
  readonly entries: readonly GgufEntry[];
  readonly contextLength: number;
  readonly warnings: readonly string[];
} {
  const window = Math.max(...windows);
  if (window === 0) return { entries: [], contextLength: maxPositions, warnings: [] };
  if (!architecture.startsWith('gemma'))
    return {
      // beyond the window its results would be of another model
      entries: [],
      contextLength: Math.min(maxPositions, window),
      warnings: [
        `llama.cpp has no window for ${architecture}: results are the same up to ${window} ` +
          'tokens, which is written as the length of the context.',
      ],
    };
  const period = windows.indexOf(0) + 1 || layers + 1;
  const isPeriodic = windows.every(
    (each, layer) => each === ((layer + 1) % period === 0 ? 0 : window),
  );
  if (!isPeriodic)
    throw unsupported(TARGET, 'has windows in a regular pattern alone', 'use safetensors');
  return {
    entries: [
      put('attention.sliding_window', window),
      put('attention.sliding_window_pattern', period),
    ],
    contextLength: maxPositions,
    warnings: [],
  };
}

function ropeMetadata(
  put: Put,
  { theta, scaling }: RopeConfig,
  rotarySize: number,
  maxPositions: number,
): ModelMetadata {
  const base = put('rope.freq_base', theta, 'f32');
  const type = scaling?.['rope_type'] ?? scaling?.['type'] ?? 'default';
  const number = (key: string, fallback = 1): number => Number(scaling?.[key] ?? fallback);
  const original = number('original_max_position_embeddings', maxPositions);
  const plain = { tables: {}, warnings: [] };
  const unknown = (keys: readonly string[]): void => {
    const found = keys.find((key) => scaling?.[key] !== undefined && scaling[key] !== null);
    if (found !== undefined)
      throw unsupported(
        TARGET,
        `has no ${found} for its ${String(type)} positions`,
        'use safetensors',
      );
  };
  switch (type) {
    case 'default':
      return { entries: [base], ...plain };
    case 'linear':
      return {
        entries: [
          base,
          put('rope.scaling.type', 'linear', 'string'),
          put('rope.scaling.factor', number('factor'), 'f32'),
        ],
        ...plain,
      };
    case 'yarn':
      unknown(['beta_fast', 'beta_slow', 'attention_factor', 'mscale', 'mscale_all_dim']);
      return {
        entries: [
          base,
          put('rope.scaling.type', 'yarn', 'string'),
          put('rope.scaling.factor', number('factor'), 'f32'),
          put('rope.scaling.original_context_length', original),
        ],
        ...plain,
      };
    case 'llama3': {
      const sizes = { rotarySize, theta, maxPositions };
      const from = ropeFrequencies(sizes).frequencies;
      const to = ropeFrequencies({ ...sizes, scaling }).frequencies;
      return {
        entries: [base],
        tables: { 'rope_freqs.weight': from.map((frequency, i) => frequency / to[i]!) },
        warnings: [],
      };
    }
    case 'longrope': {
      const { attentionFactor } = ropeFrequencies({ rotarySize, theta, scaling, maxPositions });
      return {
        entries: [
          base,
          put('rope.scaling.attn_factor', attentionFactor, 'f32'),
          put('rope.scaling.original_context_length', original),
        ],
        tables: {
          'rope_factors_long.weight': Float32Array.from(scaling!['long_factor'] as number[]),
          'rope_factors_short.weight': Float32Array.from(scaling!['short_factor'] as number[]),
        },
        warnings: [
          'llama.cpp chooses between short and long positions by the size of the context that it ' +
            `is opened with, not by the text: open it with at most ${original} tokens for short texts.`,
        ],
      };
    }
    default:
      throw unsupported(
        TARGET,
        `has no ${String(type)} positions`,
        'use safetensors, or train with linear, yarn or llama3 scaling',
      );
  }
}
