/**
 * The tasks of the cases: which head a model gets, how a padded batch becomes a packed one, what is
 * compared, and its loss.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type Model,
  type ModelBatch,
  type ModelOutput,
} from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { crossEntropy, linear, type Engine } from '@peft/ops';
import { nextLabels, packBatch, packRows, unpackRows, type PaddedBatch } from './packed.js';

export type Task = 'seqcls' | 'causal' | 'seq2seq' | 'encoder';
export type TaskBatch = PaddedBatch & {
  readonly labels?: readonly number[] | readonly (readonly number[])[];
};

type Mask = readonly (readonly number[])[];
export interface PackedTask {
  readonly batch: ModelBatch;
  readonly labels: Int32Array;
  /** Where the compared rows stand in padded tensors; none for one row per sequence. */
  readonly mask: Mask | undefined;
  /** Of those, the ones that are no padding, where padding is kept. */
  readonly counted?: Mask;
  /**
   * The first label of each sequence of a causal model, which a virtual token in front would
   * predict.
   */
  readonly firstLabels?: Int32Array;
  /** Virtual tokens in front of each row. Default 0. */
  readonly extra?: number;
  /** What they are labelled with. Default: nothing. */
  readonly extraLabels?: readonly number[] | undefined;
  /** What their losses are multiplied with. Default: 1. */
  readonly extraWeights?: readonly number[] | undefined;
}

/** Whether there is a family for the model of a folder. */
export function isKnownModel(folder: string): boolean {
  const { model_type: type } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    model_type: string;
  };
  return architectures.some(({ modelTypes }) => modelTypes.includes(type));
}

/**
 * Loads a model for a task; an encoder alone for `encoder`. The caller disposes it.
 * @param outputs of a head that the checkpoint lacks
 * @param vocabularySize tokens, where the checkpoint has fewer or more
 */
export function openModel(
  folder: string,
  task: Task,
  engine: Engine,
  outputs?: number,
  vocabularySize?: number,
): Model {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const store = openCheckpoint(folder);
  try {
    return loadModel(architectureFor(config['model_type'], architectures), config, store, engine, {
      head: headOf(task, (name) => store.get(name)?.shape, outputs),
      vocabularySize,
    });
  } finally {
    store.close();
  }
}

function headOf(
  task: Task,
  shapeOf: (name: string) => readonly number[] | undefined,
  outputs: number | undefined,
): HeadOptions {
  if (task === 'causal') return { kind: 'causal-lm' };
  if (task === 'seq2seq') return { kind: 'seq2seq-lm' };
  if (task === 'encoder') return { kind: 'none' };
  const stored = ['classifier.out_proj.weight', 'classifier.weight', 'score.weight']
    .map(shapeOf)
    .find((shape) => shape !== undefined)?.[0];
  return { kind: 'sequence-classification', outputs: stored ?? outputs ?? 2 };
}

/** @param startId the decoder's first token. */
export function packTask(task: Task, batch: TaskBatch, startId = 0): PackedTask {
  const packed = packBatch(batch);
  const mask = batch.attention_mask;
  if (task === 'encoder') return { batch: packed, labels: new Int32Array(), mask };
  if (task === 'seqcls')
    return { batch: packed, labels: Int32Array.from(batch.labels as number[]), mask: undefined };
  const rows = batch.labels as readonly (readonly number[])[];
  if (task === 'causal')
    return {
      batch: packed,
      labels: nextLabels(packRows(rows, mask).values, packed.offsets),
      firstLabels: Int32Array.from(rows, (row) => row[0]!),
      mask,
    };
  const decoderMask = rows.map((row) => row.map((label) => (label === -100 ? 0 : 1)));
  const { values: labels, offsets } = packRows(rows, decoderMask);
  const shifted = packRows(
    rows.map((row) => [startId, ...row.slice(0, -1)]),
    decoderMask,
  );
  return {
    batch: { ...packed, decoder: { inputIds: shifted.values, offsets } },
    labels,
    mask: decoderMask,
  };
}

/** What is compared: logits, or an encoder's last state, of the padded batch. */
export function comparedOf(
  task: Task,
  output: ModelOutput,
  { mask, counted, extra = 0 }: PackedTask,
): ArrayLike<number> {
  const rows = task === 'encoder' ? output.hidden : output.logits!;
  if (!mask) return rows.dataSync();
  const values = unpackRows(
    rows.dataSync(),
    rows.shape[1],
    mask.map((row) => [...new Array<number>(extra).fill(1), ...row]),
  );
  const isCounted = counted?.flat();
  return isCounted
    ? values.map((value, i) => (isCounted[Math.floor(i / rows.shape[1])] ? value : 0))
    : values;
}

/** Mean over the labelled rows; of an encoder the mean square of its last state. */
export function taskLoss(
  task: Task,
  output: ModelOutput,
  { labels, firstLabels, batch, extra = 0, extraLabels, extraWeights }: PackedTask,
): Scalar {
  if (task === 'encoder') return tf.mean(tf.square(output.hidden));
  const wanted =
    extra === 0
      ? labels
      : withVirtual(labels, firstLabels, (batch.decoder ?? batch).offsets, extra, extraLabels);
  const losses = crossEntropy(output.logits!, wanted);
  const weights = extraWeights && virtualWeightsOf(wanted.length, batch.offsets, extraWeights);
  const counted = wanted.filter((label) => label !== -100).length;
  const mean = tf.div<Scalar>(tf.sum(weights ? tf.mul(losses, weights) : losses), counted);
  return (output.auxiliary ?? []).reduce<Scalar>((sum, { hidden, weight }) => {
    const { weight: matrix, bias } = output.outputLayer!;
    const own = tf.sum(crossEntropy(linear(hidden, matrix, bias), wanted));
    return tf.add(sum, tf.mul(own, weight / counted));
  }, mean);
}

/** 1 for every row but the virtual ones, each of which predicts the next. */
function virtualWeightsOf(
  rows: number,
  offsets: Int32Array,
  weights: readonly number[],
): Float32Array {
  const out = new Float32Array(rows).fill(1);
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const start = offsets[b]! + b * weights.length;
    out.set(weights.slice(1), start);
  }
  return out;
}

/**
 * Labels of rows with virtual tokens in front, the last of which has the first token as its next.
 */
function withVirtual(
  labels: Int32Array,
  firstLabels: Int32Array | undefined,
  offsets: Int32Array,
  extra: number,
  extraLabels: readonly number[] = [],
): Int32Array {
  const out = new Int32Array(labels.length + (offsets.length - 1) * extra).fill(-100);
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const start = offsets[b]! + (b + 1) * extra;
    out[start - 1] = firstLabels?.[b] ?? -100;
    // each predicts the next
    extraLabels.slice(1).forEach((label, p) => (out[start - extra + p] = label));
    out.set(labels.subarray(offsets[b], offsets[b + 1]), start);
  }
  return out;
}
