/**
 * Small training runs whose memory is planned and counted; as a program it trains one in a process
 * of its own: `planned-run.ts NUMBER`, and prints planned and actual peak.
 */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Variable } from '@tensorflow/tfjs';
import {
  architectureFor,
  combineMethods,
  describeModel,
  loadModel,
  randomWeights,
  type Architecture,
  type HeadOptions,
  type MethodSpec,
  type Model,
} from '@peft/core';
import { bitfit } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { planMemory, type MemoryPlan, type RunSettings } from '@peft/memory-plan';
import { architectures } from '@peft/models';
import { crossEntropy, linearCrossEntropy, variableGradients, type Engine } from '@peft/ops';
import { adamw } from '@peft/optim';
import { createTensorflowEngine, tensorflowSizing } from '@peft/tensorflow';

export interface PlannedRun extends Pick<RunSettings, 'quantization' | 'checkpointing'> {
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly model_type: string };
  readonly head: HeadOptions;
  readonly method: MethodSpec;
  readonly precision: 'float32' | 'bfloat16';
  readonly storedDtype: 'F32' | 'BF16';
  readonly sequences: number;
  readonly length: number;
}

const BERT = {
  model_type: 'bert',
  vocab_size: 4000,
  hidden_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  intermediate_size: 1536,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};
const LLAMA = {
  model_type: 'llama',
  vocab_size: 4000,
  hidden_size: 384,
  intermediate_size: 1024,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  max_position_embeddings: 1024,
  tie_word_embeddings: false,
};
const DEBERTA = {
  model_type: 'deberta-v2',
  vocab_size: 4000,
  hidden_size: 192,
  intermediate_size: 768,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  max_position_embeddings: 512,
  relative_attention: true,
  position_buckets: 64,
  norm_rel_ebd: 'layer_norm',
  share_att_key: true,
  pos_att_type: 'p2c|c2p',
  position_biased_input: false,
  type_vocab_size: 0,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};
const T5 = {
  model_type: 't5',
  vocab_size: 4000,
  d_model: 256,
  d_kv: 64,
  num_heads: 4,
  d_ff: 512,
  num_layers: 3,
  num_decoder_layers: 3,
  feed_forward_proj: 'gated-gelu',
  tie_word_embeddings: false,
};
const classes: HeadOptions = { kind: 'pooled-linear', outputs: 2 };
const NF4 = { format: 'nf4', doubleQuantization: true } as const;

/** The first three are large enough to show in a process's memory. */
export const RUNS: readonly PlannedRun[] = [
  {
    title: 'a float32 encoder, IA3 and biases',
    config: BERT,
    head: classes,
    method: combineMethods('ia3_bias', ia3(), bitfit()),
    precision: 'float32',
    storedDtype: 'F32',
    sequences: 16,
    length: 128,
  },
  {
    title: 'a bfloat16 base with a language model head, LoRA',
    config: LLAMA,
    head: { kind: 'causal-lm' },
    method: lora({ rank: 8, targets: 'all-linear' }),
    precision: 'bfloat16',
    storedDtype: 'BF16',
    sequences: 8,
    length: 256,
  },
  {
    title: 'an NF4 base, LoRA, checkpointed',
    config: LLAMA,
    head: { kind: 'causal-lm' },
    method: lora({ rank: 8, targets: 'all-linear' }),
    precision: 'bfloat16',
    storedDtype: 'BF16',
    quantization: NF4,
    checkpointing: true,
    sequences: 8,
    length: 384,
  },
  {
    title: 'disentangled attention with dropout',
    config: DEBERTA,
    head: classes,
    method: lora(),
    precision: 'bfloat16',
    storedDtype: 'BF16',
    sequences: 3,
    length: 150,
  },
  {
    title: 'an encoder-decoder whose bfloat16 weights are products in float32',
    config: T5,
    head: { kind: 'seq2seq-lm' },
    method: lora({ dropout: 0.1 }),
    precision: 'float32',
    storedDtype: 'BF16',
    sequences: 4,
    length: 40,
  },
  {
    title: 'int8',
    config: T5,
    head: classes,
    method: lora({ targets: 'all-linear' }),
    precision: 'bfloat16',
    storedDtype: 'F32',
    quantization: { format: 'int8' },
    sequences: 2,
    length: 90,
  },
];

const architectureOf = ({ config }: PlannedRun): Architecture<never> =>
  architectureFor(config.model_type, architectures) as never; // it reads this very config

export function planOf(run: PlannedRun): MemoryPlan {
  // depends on the library that is set up here
  const hasKernels = tf.getKernel('PeftActivation', 'tensorflow') !== undefined;
  return planMemory({
    ...run,
    architecture: architectureOf(run),
    batch: run,
    evaluationBatch: run,
    engine: tensorflowSizing({ precision: run.precision, hasKernels }),
    hasFiles: false,
  });
}

export function openRun(run: PlannedRun, engine: Engine): Model {
  const architecture = architectureOf(run);
  const description = describeModel(architecture, architecture.parseConfig(run.config), run.head);
  const model = loadModel(
    architecture,
    run.config,
    randomWeights(description, { dtype: run.storedDtype }),
    engine,
    { head: run.head, ...(run.quantization && { quantization: run.quantization }) },
  );
  model.addAdapter('default', run.method);
  return model;
}

const batchOf = ({ head, sequences, length }: PlannedRun) => {
  const side = {
    inputIds: Int32Array.from({ length: sequences * length }, (_, n) => 5 + (n % 7)),
    offsets: Int32Array.from({ length: sequences + 1 }, (_, b) => b * length),
  };
  return { ...side, ...(head.kind === 'seq2seq-lm' && { decoder: side }) };
};

function lossOf(run: PlannedRun, model: Model, training: boolean): Scalar {
  const isLanguageModel = run.head.kind !== 'pooled-linear';
  const { logits, hidden, outputLayer } = model.forward(batchOf(run), {
    ...(training && { training, checkpointing: run.checkpointing ?? false }),
    ...(isLanguageModel && { logitRows: 'none' as const }),
  });
  const labels = (rows: number) => new Int32Array(rows).fill(1);
  return tf.sum(
    outputLayer
      ? linearCrossEntropy(hidden, outputLayer.weight, labels(hidden.shape[0]), outputLayer)
      : crossEntropy(logits!, labels(logits!.shape[0])),
  ) as Scalar;
}

/** Forward and backward pass. */
export function passBoth(run: PlannedRun, model: Model): void {
  const made = tf.tidy(() =>
    variableGradients(
      () => lossOf(run, model, true),
      model.trainables().map(({ value }) => value) as Variable[],
    ),
  );
  made.value.dataSync(); // until all is computed
  tf.dispose(made);
}

export const passForward = (run: PlannedRun, model: Model): void =>
  tf.tidy(() => void lossOf(run, model, false).dataSync());

/** Three optimiser steps; the system says what the process held at the most. */
async function trainAlone(run: PlannedRun): Promise<void> {
  const engine = await createTensorflowEngine({ precision: run.precision });
  await engine.activate();
  const model = openRun(run, engine);
  const parameters = model.trainables().map(({ name, value }) => ({
    name,
    variable: value,
    group: { learningRateScale: 1, weightDecay: 0 },
  }));
  const state = adamw().init(parameters);
  for (let step = 0; step < 3; step += 1) passBoth(run, model);
  const actualPeakBytes = process.resourceUsage().maxRSS * 1024;
  state.dispose();
  model.dispose();
  const { peakBytes } = planOf(run);
  process.stdout.write(`${JSON.stringify({ plannedPeakBytes: peakBytes, actualPeakBytes })}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await trainAlone(RUNS[Number(process.argv[2])]!);
