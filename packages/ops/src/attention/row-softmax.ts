/** Probabilities of attention's rows in plain tfjs ops. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';

/** exp(score)/Σ exp(score) over the last axis of `[B, T, L]`, and ln Σ exp `[B, T]`. */
export function rowSoftmax(scores: Tensor3D): {
  readonly probabilities: Tensor3D;
  readonly logSumExp: Tensor2D;
} {
  const largest = tf.max(scores, 2, true);
  const exponentials = tf.exp(tf.sub(scores, largest));
  const sum = tf.sum(exponentials, 2, true);
  return {
    probabilities: tf.div(exponentials, sum),
    logSumExp: tf.squeeze<Tensor2D>(tf.add(tf.log(sum), largest), [2]),
  };
}

/**
 * exp(score − logΣexp) with the logΣexp `[B, T, 1]` of these scores, and perhaps of others beside
 * them, of which they then are a share. Not by this formula: a large logΣexp is rounded by more than
 * probabilities may err, and of their gradient, a difference, that error would be the larger part.
 */
export function probabilitiesUnder(scores: Tensor3D, logSumExp: Tensor): Tensor3D {
  const own = rowSoftmax(scores);
  const share = tf.exp(tf.sub(tf.expandDims(own.logSumExp, 2), logSumExp));
  return tf.mul(own.probabilities, share);
}
