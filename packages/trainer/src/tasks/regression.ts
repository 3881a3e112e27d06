/**
 * Regression: squared error on standardised labels z = (y − μ)/σ. loss = Σ_b s_b·(ŷ_b − z_b)², ŷ = the
 * single logit `[B, 1]`, s weights of the rows, whose sum is the count.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import type { LabelScaler } from '@peft/data';
import { PeftError } from '@peft/errors';
import { readValues } from '@peft/ops';
import { logitsOf } from './classification.js';
import { rowWeights, totalWeight, type WeightedBatch } from './row-weights.js';
import { forwardHead } from './forward-head.js';
import type { Task } from './task.js';

/** A packed batch with a number per sequence. */
export interface RegressionBatch extends WeightedBatch {
  /** z `[B]`, as `LabelScaler.encode` gives them. Needed for the loss, not for predictions. */
  readonly labels?: Int32Array | Float32Array;
}

/** Settings of {@link regression}. */
export interface RegressionOptions {
  /** μ and σ of the training labels; predictions are ŷ·σ + μ. Default: 0 and 1. */
  readonly scaler?: Pick<LabelScaler, 'mean' | 'deviation'>;
}

/**
 * The task of predicting a number. A prediction is in the labels' own unit.
 * @throws the loss PEFT_TASK_LABELS, PEFT_TASK_HEAD
 */
export function regression({
  scaler: { mean, deviation } = { mean: 0, deviation: 1 },
}: RegressionOptions = {}): Task<RegressionBatch, number> {
  return Object.freeze<Task<RegressionBatch, number>>({
    name: 'regression',
    forward: forwardHead,
    settings: { mean, deviation },
    count: (batch) => totalWeight(rowWeights('regression', batch), batch.offsets.length - 1),
    loss: (output, batch) => {
      const labels = labelsOf(batch);
      const squares = tf.square(
        tf.sub(tf.reshape(logitsOf('regression', output, 1), [labels.length]), tf.tensor1d(labels)),
      );
      const rows = rowWeights('regression', batch);
      return tf.sum(rows ? tf.mul(squares, tf.tensor1d(rows)) : squares) as Scalar;
    },
    predict: async (output) =>
      Array.from(
        await readValues(logitsOf('regression', output, 1)),
        (value) => value * deviation + mean,
      ), // [B]: a prediction is a number
  });
}

function labelsOf({ labels, offsets }: RegressionBatch): Float32Array {
  const wrong = (got: string): PeftError =>
    new PeftError(
      'PEFT_TASK_LABELS',
      `regression: a batch of ${offsets.length - 1} sequences has ${got}.`,
      { hint: 'pack one standardised number per sequence with the batch, in a Float32Array' },
    );
  if (!(labels instanceof Float32Array)) throw wrong('no float32 labels');
  if (labels.length !== offsets.length - 1) throw wrong(`${labels.length} labels`);
  if (!labels.every((value) => Number.isFinite(value)))
    throw wrong('a label that is no finite number');
  return labels;
}
