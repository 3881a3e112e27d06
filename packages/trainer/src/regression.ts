/**
 * Regression: squared error on standardised labels. loss = Σ_b (ŷ_b − (y_b − μ)/σ)², ŷ = the single logit.
 * A prediction is ŷ·σ + μ, in the labels' own unit.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import type { ModelBatch } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { logitsOf } from './classification.js';
import type { Task } from './task.js';

/** A packed batch with a number per sequence. */
export interface RegressionBatch extends ModelBatch {
  /** `[B]`, in the labels' own unit. Needed for the loss, not for predictions. */
  readonly targets?: Float32Array | Float64Array;
}

export interface RegressionOptions {
  /** μ of the training labels. Default 0. */
  readonly mean?: number;
  /** σ of the training labels, as scikit-learn's StandardScaler has it (divided by n). Default 1. */
  readonly standardDeviation?: number;
}

/** The task of predicting a number. @throws PEFT_CONFIG_INVALID for σ ≤ 0; the loss PEFT_TASK_LABELS, PEFT_TASK_HEAD */
export function regression({ mean = 0, standardDeviation = 1 }: RegressionOptions = {}): Task<RegressionBatch, number> {
  check.finite('regression', 'mean', mean);
  check.positive('regression', 'standardDeviation', standardDeviation);
  return Object.freeze<Task<RegressionBatch, number>>({
    name: 'regression',
    settings: { mean, standardDeviation },
    count: ({ offsets }) => offsets.length - 1,
    loss: (output, batch) => {
      const standardised = Float32Array.from(targetsOf(batch), (value) => (value - mean) / standardDeviation);
      return tf.sum(tf.square(tf.sub(tf.reshape(logitsOf('regression', output, 1), [standardised.length]), tf.tensor1d(standardised)))) as Scalar;
    },
    predict: (output) => Array.from(logitsOf('regression', output, 1).dataSync<'float32'>(), (value) => value * standardDeviation + mean), // [B]: a prediction is a number
  });
}

function targetsOf({ targets, offsets }: RegressionBatch): Float32Array | Float64Array {
  const wrong = !targets ? 'no targets' : targets.length !== offsets.length - 1 ? `${targets.length} targets` : targets.every((value) => Number.isFinite(value)) ? undefined : 'a target that is no finite number';
  if (wrong) throw new PeftError('PEFT_TASK_LABELS', `regression: a batch of ${offsets.length - 1} sequences has ${wrong}.`, { hint: 'pack one finite number per sequence with the batch' });
  return targets!;
}
