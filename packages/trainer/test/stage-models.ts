/** Tiny models of several families, whole or as the stages of ranks. */
import {
  architectureFor,
  describeModel,
  loadModel,
  randomWeights,
  type Collective,
  type HeadOptions,
  type Model,
  type ModelOptions,
  type Stage,
} from '@peft/core';
import { architectures } from '@peft/models';
import {
  memoryCheckpointStore,
  type CausalBatch,
  type CheckpointStore,
  type TrainingData,
} from '../src/index.js';
import { tinyData, tinyEngine } from './tiny-run.js';

const SIZES = {
  vocab_size: 24,
  hidden_size: 16,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 40,
};
const GROUPED = { ...SIZES, num_key_value_heads: 1, tie_word_embeddings: false };

/** A config.json of four blocks for each way that a state goes through a model. */
export const STAGE_CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bert: { model_type: 'bert', ...SIZES },
  electra: { model_type: 'electra', embedding_size: 8, ...SIZES },
  mpnet: { model_type: 'mpnet', ...SIZES },
  'deberta-v2': {
    model_type: 'deberta-v2',
    relative_attention: true,
    position_buckets: 4,
    norm_rel_ebd: 'layer_norm',
    share_att_key: true,
    pos_att_type: 'p2c|c2p',
    position_biased_input: false,
    type_vocab_size: 0,
    conv_kernel_size: 3,
    conv_act: 'gelu',
    ...SIZES,
  },
  llama: { model_type: 'llama', ...GROUPED },
  'llama-tied': { model_type: 'llama', ...GROUPED, tie_word_embeddings: true },
  gpt2: {
    model_type: 'gpt2',
    vocab_size: 24,
    n_embd: 16,
    n_layer: 4,
    n_head: 2,
    n_positions: 40,
  },
  opt: {
    model_type: 'opt',
    vocab_size: 24,
    hidden_size: 16,
    word_embed_proj_dim: 8,
    num_hidden_layers: 4,
    num_attention_heads: 2,
    ffn_dim: 24,
    max_position_embeddings: 40,
    do_layer_norm_before: false,
  },
  gemma3: {
    model_type: 'gemma3_text',
    ...GROUPED,
    head_dim: 8,
    query_pre_attn_scalar: 8,
    sliding_window: 4,
    layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
  },
  albert: { model_type: 'albert', embedding_size: 8, ...SIZES },
  t5: {
    model_type: 't5',
    vocab_size: 24,
    d_model: 16,
    d_kv: 8,
    num_heads: 2,
    d_ff: 24,
    num_layers: 2,
    num_decoder_layers: 2,
  },
  mixtral: {
    model_type: 'mixtral',
    ...GROUPED,
    num_local_experts: 2,
    num_experts_per_tok: 1,
    output_router_logits: true,
  },
};

/** They share weights among blocks, have two stacks, or make more than a state. */
export const REFUSED = ['albert', 't5', 'mixtral'];

export const CLASSES: HeadOptions = { kind: 'pooled-linear', outputs: 2 };

/** The stages of ranks: as many of a model's four blocks for each, one more for the last ones. */
export function stageOf(collective: Collective, stages: number, bits: 16 | 32 = 32): Stage {
  const own = collective.rank % stages;
  const start = (stage: number): number => Math.floor((stage * 4) / stages);
  return {
    first: start(own),
    end: start(own + 1),
    blocks: 4,
    ranks: { collective, stages, bits },
  };
}

/** With random weights, the same each time. The caller disposes it. */
export async function stageModel(
  family: string,
  { head = CLASSES, ...options }: ModelOptions = {},
): Promise<Model> {
  const config = STAGE_CONFIGS[family]!;
  const architecture = architectureFor(config['model_type'], architectures);
  const description = describeModel(architecture, architecture.parseConfig(config), head);
  const store = randomWeights(description, { seed: 1, standardDeviation: 0.3 });
  return loadModel(architecture, config, store, await tinyEngine(), {
    head,
    ...options,
    reopen: () => store,
  });
}

/** Each token of a text is to be told. */
export function texts(): TrainingData<CausalBatch> {
  const data = tinyData();
  return {
    ...data,
    pack: async (rows) => {
      const batch = await data.pack(rows);
      return {
        ...batch,
        tokenLabels: batch.inputIds,
        exampleOffsets: batch.offsets.map((_, i) => i),
      };
    },
  };
}

/** Of what lies in memory. */
export async function copyOf(store: CheckpointStore): Promise<CheckpointStore> {
  const copy = memoryCheckpointStore();
  for (const step of await store.steps()) {
    const opened = await store.open(step);
    await copy.save(opened);
    opened.close();
  }
  return copy;
}
