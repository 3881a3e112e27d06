/**
 * Rows of attention scores, the last axis being the row: by this package's kernels where TensorFlow
 * has them, else in tfjs ops.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { runOwnKernel } from './own-kernel.js';

/**
 * @returns e = exp(score − largest of the row), Σe and log Σ exp(score), the latter two with one
 *   column.
 */
export function scoreExponentials(
  scores: Tensor,
): readonly [e: Tensor, total: Tensor, logSumExp: Tensor] {
  const found = runOwnKernel('PeftScoreExponentials', { scores });
  if (found) return found as [Tensor, Tensor, Tensor];
  const largest = tf.max(scores, -1, true);
  const e = tf.exp(tf.sub(scores, largest));
  const total = tf.sum(e, -1, true);
  return [e, total, tf.add(tf.log(total), largest)];
}

/** p = exp(score − logSumExp), which has one column. */
export function scoreProbabilities(scores: Tensor, logSumExp: Tensor): Tensor {
  return (
    runOwnKernel('PeftScoreProbabilities', { scores, logSumExp })?.[0] ??
    tf.exp(tf.sub(scores, logSumExp))
  );
}

/** ds = p ⊙ (dp − δ), δ having one column. */
export function scoreGradient(
  probabilities: Tensor,
  dProbabilities: Tensor,
  delta: Tensor,
): Tensor {
  return (
    runOwnKernel('PeftScoreGradient', { probabilities, dProbabilities, delta })?.[0] ??
    tf.mul(probabilities, tf.sub(dProbabilities, delta))
  );
}
