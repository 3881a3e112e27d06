/**
 * Classification of sequences: cross entropy of float32 logits `[B, C]`, two classes included
 * (AutoGluon's two-logit head).
 *
 *   loss = Σ_b s_b·(1 − p_b[y_b])^γ·[ w_{y_b}·(1 − ε)·(−ln p_b[y_b]) + (ε/C)·Σ_c −w_c·ln p_b[c] ]
 *
 * with p = softmax(logits), label smoothing ε, class weights w (PyTorch's `CrossEntropyLoss(weight,
 * label_smoothing)`), focus γ (Lin et al. 2017, arXiv 1708.02002) and weights s of the rows. The count
 * is Σ_b s_b·w_{y_b}, PyTorch's normaliser; it is that of the whole step, so that any split into
 * micro-batches gives the same mean.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { ModelOutput } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { crossEntropy, focal, IGNORED_LABEL, readValues } from '@peft/ops';
import { rowWeights, type WeightedBatch } from './row-weights.js';
import { forwardHead } from './forward-head.js';
import type { Task } from './task.js';

/** A packed batch with a class number per sequence. */
export interface ClassificationBatch extends WeightedBatch {
  /**
   * int32 `[B]`, each in [0, C), or −100 for a sequence that does not count. Needed for the loss,
   * not for predictions.
   */
  readonly labels?: Int32Array | Float32Array;
}

/** Settings of {@link classification}; they change the loss, so a resumed run must share them. */
export interface ClassificationOptions {
  /** C. */
  readonly classes: number;
  /** ε in [0, 1). Default 0. */
  readonly labelSmoothing?: number;
  /** w `[C]`, above 0. Default 1 each. */
  readonly classWeights?: readonly number[];
  /** γ, at least 0. Default 0: plain cross entropy. */
  readonly focalGamma?: number;
}

/**
 * The task of telling `classes` classes apart. A prediction is the probabilities `[C]`, computed in
 * float64 from the logits.
 * @throws PEFT_CONFIG_INVALID for an option out of range; the loss PEFT_TASK_LABELS,
 *   PEFT_TASK_HEAD, PEFT_LABEL_RANGE
 */
export function classification({
  classes,
  labelSmoothing = 0,
  classWeights,
  focalGamma = 0,
}: ClassificationOptions): Task<ClassificationBatch, Float64Array> {
  check.positiveInteger('classification', 'classes', classes);
  check.probability('classification', 'labelSmoothing', labelSmoothing);
  checkFocus('classification', focalGamma);
  if (classWeights) checkWeights('classification', 'classWeights', classWeights, classes);
  const weights = classWeights && Float32Array.from(classWeights);
  return Object.freeze<Task<ClassificationBatch, Float64Array>>({
    name: 'classification',
    forward: forwardHead,
    settings: { classes, labelSmoothing, classWeights, focalGamma: focalGamma || undefined },
    count(batch) {
      const rows = rowWeights('classification', batch);
      return labelsOf(batch).reduce(
        (sum, label, b) =>
          sum + (label === IGNORED_LABEL ? 0 : (rows?.[b] ?? 1) * (weights?.[label] ?? 1)),
        0,
      );
    },
    loss(output, batch) {
      const logits = logitsOf('classification', output, classes);
      const labels = labelsOf(batch);
      const losses = crossEntropy(logits, labels, { labelSmoothing, weights });
      const focused =
        focalGamma === 0 ? losses : focal(losses, crossEntropy(logits, labels), focalGamma);
      const rows = rowWeights('classification', batch);
      return tf.sum(rows ? tf.mul<Tensor1D>(focused, tf.tensor1d(rows)) : focused) as Scalar;
    },
    predict: async (output) => {
      // [B, C]: a prediction is made of numbers
      const values = await readValues(logitsOf('classification', output, classes));
      return Array.from({ length: values.length / classes }, (_, b) =>
        softmax(values.subarray(b * classes, (b + 1) * classes)),
      );
    },
  });
}

/** @throws PEFT_CONFIG_INVALID for a negative focus */
export function checkFocus(task: string, gamma: number): void {
  if (gamma !== 0) check.positive(task, 'focalGamma', gamma);
}

/** @throws PEFT_CONFIG_INVALID unless there is a weight above 0 for each class */
export function checkWeights(
  task: string,
  key: string,
  weights: readonly number[],
  classes: number,
): void {
  if (weights.length === classes && weights.every((weight) => weight > 0 && weight < Infinity))
    return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${task}: ${key} must be ${classes} numbers above 0, got ${weights.slice(0, 8).join(', ')}.`,
    { hint: 'give a number for each class' },
  );
}

/** What logits are of, and which heads make them. */
export interface LogitKind {
  readonly unit: string;
  readonly kinds: readonly string[];
}
const PER_SEQUENCE: LogitKind = {
  unit: 'sequence',
  kinds: ['pooled-linear', 'sequence-classification'],
};

/** The model's logits. @throws PEFT_TASK_HEAD unless they are `[…, outputs]` */
export function logitsOf(
  task: string,
  output: ModelOutput,
  outputs: number,
  { unit, kinds }: LogitKind = PER_SEQUENCE,
): Tensor2D {
  const { logits } = output;
  if (!logits || logits.shape[1] !== outputs) {
    const got = logits ? `logits of shape [${logits.shape.join(', ')}]` : 'no logits';
    const heads = kinds.map((kind) => `{ kind: '${kind}', outputs: ${outputs} }`).join(' or ');
    throw new PeftError(
      'PEFT_TASK_HEAD',
      `${task}: the model gives ${got}, ${outputs} per ${unit} are needed.`,
      { hint: `load the model with head: ${heads}` },
    );
  }
  return logits;
}

function labelsOf({ labels, offsets }: ClassificationBatch): Int32Array {
  if (!(labels instanceof Int32Array) || labels.length !== offsets.length - 1) {
    const got = labels ? `${labels.length} labels of type ${labels.constructor.name}` : 'no labels';
    throw new PeftError(
      'PEFT_TASK_LABELS',
      `classification: a batch of ${offsets.length - 1} sequences has ${got}.`,
      { hint: 'pack one class number per sequence with the batch, in an Int32Array' },
    );
  }
  return labels;
}

function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = Float64Array.from(logits, (value) => Math.exp(value - largest));
  const total = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / total);
}
