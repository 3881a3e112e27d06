/** Three tiny models with random weights, one of each shape: what the method contract runs on. */
import {
  describeModel,
  loadModel,
  type Architecture,
  type HeadOptions,
  type LoadWeightsOptions,
  type Model,
  type ModelBatch,
  type ModelDescription,
  type WeightStore,
} from '@peft/core';
import { bert, debertaV2, llama, t5 } from '@peft/models';
import { memorySource, type Engine } from '@peft/ops';
import { seededValues } from './seeded-tensor.js';

/** A small model of random weights, and a batch for it. */
export interface TinyModel {
  readonly name: 'encoder' | 'encoder-decoder' | 'decoder';
  /** Makes the model anew, the same each time; the caller disposes it. */
  open(engine: Engine, options?: LoadWeightsOptions): Model;
  readonly batch: ModelBatch;
  /** A class per row of the logits. */
  readonly labels: Int32Array;
  /** Where each sequence's rows of the logits begin and end. */
  readonly logitOffsets: Int32Array;
}

const VOCABULARY = 23;
/** What the sequences are of, for adapters of two tasks or more. */
const TASK_IDS = Int32Array.of(1, 0, 1);
/** Sequences of unequal length, one of a single token. */
const OFFSETS = Int32Array.of(0, 3, 4, 9);
/** As many tokens in all as the encoder has, otherwise cut. */
const DECODER_OFFSETS = Int32Array.of(0, 4, 7, 9);
const ids = (seed: number): Int32Array =>
  Int32Array.from({ length: 9 }, (_, n) => 1 + ((n * 7 + seed * 5) % (VOCABULARY - 1)));

const BERT = {
  model_type: 'bert',
  vocab_size: VOCABULARY,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 16,
  type_vocab_size: 2,
};
const DEBERTA = {
  model_type: 'deberta-v2',
  relative_attention: true,
  position_buckets: 4,
  norm_rel_ebd: 'layer_norm',
  share_att_key: true,
  pos_att_type: 'p2c|c2p',
  position_biased_input: false,
  vocab_size: VOCABULARY,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  max_position_embeddings: 16,
  type_vocab_size: 0,
};
const T5 = {
  model_type: 't5',
  vocab_size: VOCABULARY,
  d_model: 12,
  d_kv: 4,
  num_heads: 3,
  d_ff: 20,
  num_layers: 2,
  num_decoder_layers: 2,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 16,
  feed_forward_proj: 'gated-gelu',
  tie_word_embeddings: false,
};
const LLAMA = {
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 2,
  max_position_embeddings: 32,
  rope_theta: 10000,
  tie_word_embeddings: false,
};

/**
 * An encoder with a classification head and biases, an encoder-decoder without any, and a decoder
 * with grouped keys and values.
 */
export function tinyModels(): readonly TinyModel[] {
  return [
    {
      name: 'encoder',
      open: opener(bert, BERT, { kind: 'sequence-classification', outputs: 3 }),
      batch: { inputIds: ids(1), offsets: OFFSETS, taskIds: TASK_IDS },
      labels: Int32Array.of(0, 2, 1),
      logitOffsets: Int32Array.of(0, 1, 2, 3),
    },
    {
      name: 'encoder-decoder',
      open: opener(t5, T5, { kind: 'seq2seq-lm' }),
      batch: {
        inputIds: ids(1),
        offsets: OFFSETS,
        taskIds: TASK_IDS,
        decoder: { inputIds: ids(2), offsets: DECODER_OFFSETS },
      },
      labels: ids(3),
      logitOffsets: DECODER_OFFSETS,
    },
    {
      name: 'decoder',
      open: opener(llama, LLAMA, { kind: 'causal-lm' }),
      batch: { inputIds: ids(1), offsets: OFFSETS, taskIds: TASK_IDS },
      labels: ids(3),
      logitOffsets: OFFSETS,
    },
  ];
}

/** An encoder with disentangled attention, for what is asked of engines alone. */
export const tinyDeberta = (): TinyModel => ({
  ...tinyModels()[0]!,
  open: opener(debertaV2, DEBERTA, { kind: 'sequence-classification', outputs: 3 }),
});

function opener<Config>(
  architecture: Architecture<Config>,
  json: Readonly<Record<string, unknown>>,
  head: HeadOptions,
): TinyModel['open'] {
  return (engine, options) =>
    loadModel(
      architecture,
      json,
      randomStore(describeModel(architecture, architecture.parseConfig(json), head)),
      engine,
      { head, ...options },
    );
}

/**
 * Norms about 1, everything else about 0: no parameter is at a value where a wrong formula would
 * not show.
 */
function randomStore(description: ModelDescription): WeightStore {
  const specs = new Map(description.parameters.map((spec) => [spec.name, spec]));
  return {
    names: () => specs.keys(),
    get(name) {
      const spec = specs.get(name);
      if (!spec) return undefined;
      const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
      const isScale = spec.norm !== undefined && name.endsWith('weight');
      const values = seededValues(
        name,
        shape.reduce((size, length) => size * length, 1),
        shape.length > 1 ? 0.4 : 0.2,
      );
      return memorySource(name, shape, isScale ? values.map((value) => 1 + value) : values);
    },
  };
}
