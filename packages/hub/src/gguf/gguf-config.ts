/** config.json of the model in a GGUF file, as its metadata tells of it. */
import type { JsonObject } from '../files/json-file.js';
import { blockCount, ggufFamily } from './gguf-checkpoint.js';
import { GgufFields } from './gguf-fields.js';
import type { GgufFile } from './open-gguf.js';

/** @throws PEFT_GGUF_FAMILY, PEFT_GGUF_METADATA */
export function ggufConfig(file: GgufFile): JsonObject {
  const { architecture, modelTypes, className } = ggufFamily(file);
  const fields = new GgufFields(file);
  const id = (name: string) => fields.optionalNumber(`tokenizer.ggml.${name}_token_id`);
  const common = {
    model_type: modelTypes[0]!,
    architectures: [className],
    vocab_size: file.tensors.get('token_embd.weight')?.shape[0],
    tie_word_embeddings: !file.tensors.has('output.weight'),
    dtype: 'float32',
    bos_token_id: id('bos'),
    eos_token_id: oneOrMore(['eos', 'eot', 'eom'].map(id)),
    pad_token_id: id('padding'),
  };
  const own =
    architecture === 'gpt2' ? gpt2Config(fields) : decoderConfig(file, fields, architecture);
  return Object.fromEntries(
    Object.entries({ ...common, ...own }).filter(([, value]) => value !== undefined),
  );
}

/** One id, or several where a turn or a message ends with another token. */
function oneOrMore(given: readonly (number | undefined)[]): number | readonly number[] | undefined {
  const ids = [...new Set(given.filter((id) => id !== undefined))];
  return ids.length > 1 ? ids : ids[0];
}

function gpt2Config(fields: GgufFields): JsonObject {
  const own = (key: string): number => fields.number(`gpt2.${key}`);
  return {
    n_embd: own('embedding_length'),
    n_layer: own('block_count'),
    n_head: own('attention.head_count'),
    n_inner: own('feed_forward_length'),
    n_positions: own('context_length'),
    layer_norm_epsilon: own('attention.layer_norm_epsilon'),
    activation_function: 'gelu_new',
  };
}

function decoderConfig(file: GgufFile, fields: GgufFields, architecture: string): JsonObject {
  const own = (key: string): number => fields.number(`${architecture}.${key}`);
  const maybe = (key: string) => fields.optionalNumber(`${architecture}.${key}`);
  const heads = own('attention.head_count');
  const headSize =
    maybe('attention.key_length') ??
    (architecture === 'phi3' ? undefined : maybe('rope.dimension_count')) ??
    own('embedding_length') / heads;
  const rotarySize = maybe('rope.dimension_count') ?? headSize;
  const isGemma = architecture.startsWith('gemma');
  const hasBias = (name: string): boolean => file.tensors.has(`blk.0.${name}.bias`);
  return {
    hidden_size: own('embedding_length'),
    intermediate_size: own('feed_forward_length'),
    num_hidden_layers: own('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: maybe('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    max_position_embeddings: own('context_length'),
    rms_norm_eps: own('attention.layer_norm_rms_epsilon'),
    attention_bias: architecture === 'llama' ? hasBias('attn_q') : undefined,
    mlp_bias: architecture === 'llama' ? hasBias('ffn_up') : undefined,
    // a window that llama.cpp does not keep is not in its files
    sliding_window: isGemma ? own('attention.sliding_window') : null,
    ...(isGemma ? gemmaConfig(file, architecture, headSize, own, maybe) : {}),
    ...ropeConfig(file, fields, architecture, rotarySize, headSize),
  };
}

function gemmaConfig(
  file: GgufFile,
  architecture: string,
  headSize: number,
  own: (key: string) => number,
  maybe: (key: string) => number | undefined,
): JsonObject {
  const layers = blockCount(file);
  const isLargest = layers === { gemma2: 46, gemma3: 62 }[architecture];
  const period = maybe('attention.sliding_window_pattern') ?? (architecture === 'gemma2' ? 2 : 6);
  return {
    query_pre_attn_scalar: isLargest
      ? own('embedding_length') / own('attention.head_count')
      : headSize,
    hidden_activation: 'gelu_pytorch_tanh',
    attn_logit_softcapping: maybe('attn_logit_softcapping') ?? null,
    final_logit_softcapping: maybe('final_logit_softcapping') ?? null,
    layer_types: Array.from({ length: layers }, (_, layer) =>
      (layer + 1) % period === 0 ? 'full_attention' : 'sliding_attention',
    ),
  };
}

function ropeConfig(
  file: GgufFile,
  fields: GgufFields,
  architecture: string,
  rotarySize: number,
  headSize: number,
): JsonObject {
  const maybe = (key: string) => fields.optionalNumber(`${architecture}.${key}`);
  const theta = maybe('rope.freq_base') ?? 10_000;
  const original = maybe('rope.scaling.original_context_length');
  const scaling = scalingOf(file, fields, architecture, original);
  const partial = rotarySize === headSize ? {} : { partial_rotary_factor: rotarySize / headSize };
  if (architecture === 'gemma3')
    return {
      rope_parameters: {
        full_attention: { rope_type: 'default', rope_theta: theta, ...scaling },
        sliding_attention: {
          rope_type: 'default',
          rope_theta: maybe('rope.freq_base_swa') ?? 10_000,
        },
      },
    };
  return {
    rope_theta: theta,
    rope_scaling: scaling ?? null,
    original_max_position_embeddings: original,
    ...partial,
  };
}

function scalingOf(
  file: GgufFile,
  fields: GgufFields,
  architecture: string,
  original: number | undefined,
): JsonObject | undefined {
  const table = (name: string): number[] | undefined => {
    const tensor = file.tensors.get(name);
    return tensor && [...file.values(tensor)];
  };
  const [long, short, factors] = [
    table('rope_factors_long.weight'),
    table('rope_factors_short.weight'),
    table('rope_freqs.weight'),
  ];
  const context = fields.number(`${architecture}.context_length`);
  if (long && short)
    return {
      rope_type: 'longrope',
      long_factor: long,
      short_factor: short,
      attention_factor: fields.optionalNumber(`${architecture}.rope.scaling.attn_factor`),
      original_max_position_embeddings: original ?? context,
    };
  if (factors)
    // Llama 3's positions: frequencies that are divided by the same numbers at every length
    return {
      rope_type: 'longrope',
      long_factor: factors,
      short_factor: factors,
      attention_factor: 1,
      original_max_position_embeddings: context,
    };
  const type = fields.optionalText(`${architecture}.rope.scaling.type`) ?? 'none';
  if (type === 'none') return undefined;
  return {
    rope_type: type,
    factor: fields.number(`${architecture}.rope.scaling.factor`),
    original_max_position_embeddings: original,
  };
}
