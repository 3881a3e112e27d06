/**
 * Classification of sequences: cross entropy of float32 logits `[B, C]`, two classes included
 * (AutoGluon's two-logit head).
 *
 * loss = Σ_b (1 − ε)·(−ln p_b[y_b]) + (ε/C)·Σ_c −ln p_b[c], p = softmax(logits), label smoothing ε
 * (as PyTorch's CrossEntropyLoss).
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import type { ModelBatch, ModelOutput } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { crossEntropy, IGNORED_LABEL } from '@peft/ops';
import type { Task } from './task.js';

/** A packed batch with a class number per sequence. */
export interface ClassificationBatch extends ModelBatch {
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
}: ClassificationOptions): Task<ClassificationBatch, Float64Array> {
  check.positiveInteger('classification', 'classes', classes);
  check.probability('classification', 'labelSmoothing', labelSmoothing);
  return Object.freeze<Task<ClassificationBatch, Float64Array>>({
    name: 'classification',
    settings: { classes, labelSmoothing },
    count: (batch) =>
      labelsOf(batch).reduce((count, label) => count + (label === IGNORED_LABEL ? 0 : 1), 0),
    loss: (output, batch) =>
      tf.sum(
        crossEntropy(logitsOf('classification', output, classes), labelsOf(batch), {
          labelSmoothing,
        }),
      ) as Scalar,
    predict: (output) => {
      // [B, C]: a prediction is made of numbers
      const values = logitsOf('classification', output, classes).dataSync<'float32'>();
      return Array.from({ length: values.length / classes }, (_, b) =>
        softmax(values.subarray(b * classes, (b + 1) * classes)),
      );
    },
  });
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
