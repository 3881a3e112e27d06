/**
 * Cross entropy of lists: how well scores s share out what the items of a list deserve,
 *
 *   loss_r = −Σ_i P_i·ln softmax(s)_i, P_i = w_i / Σ_j w_j,
 *
 * i over the items of list r, weights w ≥ 0 (the softmax loss of TF-Ranking; Bruch et al. 2019, "An
 * analysis of the softmax cross entropy loss for learning-to-rank with binary relevance", eq. 2). A
 * list whose weights are all 0 has loss 0 and no gradient. Gradient: ds_i = dloss_r·(softmax(s)_i −
 * P_i).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '../tape/differentiable.js';

/**
 * @param scores `[B]`. @param weights `[B]`, at least 0.
 * @param offsets list r is items offsets[r] … offsets[r+1] `[R+1]`.
 * @returns loss `[R]`, owned by the enclosing scope.
 * @throws PEFT_LABEL_RANGE for weights of another number, or below 0
 */
export function listCrossEntropy(
  scores: Tensor1D,
  weights: Float32Array,
  offsets: Int32Array,
): Tensor1D {
  if (weights.length !== scores.size || offsets.at(-1) !== scores.size)
    throw weightError(
      `${scores.size} scores, ${weights.length} weights and lists of ${offsets.at(-1)} items were given`,
    );
  const bad = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (bad >= 0) throw weightError(`weight ${bad} is ${weights[bad]}`);
  // a number per item: lists are short, and of unequal lengths
  const slopes = new Float32Array(weights.length); // softmax − P
  return differentiable<'scores', Tensor1D>(
    { scores },
    () => {
      const values = scores.dataSync<'float32'>();
      const losses = Float32Array.from({ length: offsets.length - 1 }, (_, r) =>
        oneList(values, weights, offsets[r]!, offsets[r + 1]!, slopes),
      );
      return tf.tensor1d(losses);
    },
    ({ dy }) => {
      const losses = dy.dataSync<'float32'>();
      const gradient = slopes.slice();
      losses.forEach((value, r) => {
        for (let i = offsets[r]!; i < offsets[r + 1]!; i += 1) gradient[i]! *= value;
      });
      return { scores: tf.tensor1d(gradient) };
    },
  );
}

/** Loss of one list in float64; leaves its slopes. */
function oneList(
  scores: Float32Array,
  weights: Float32Array,
  start: number,
  end: number,
  slopes: Float32Array,
): number {
  const total = weights.subarray(start, end).reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return 0;
  const own = scores.subarray(start, end);
  const largest = own.reduce((most, score) => Math.max(most, score), -Infinity);
  const sum = own.reduce((part, score) => part + Math.exp(score - largest), 0);
  const logSum = largest + Math.log(sum);
  let loss = 0;
  for (let i = start; i < end; i += 1) {
    const share = weights[i]! / total;
    if (share > 0) loss += share * (logSum - scores[i]!);
    slopes[i] = Math.exp(scores[i]! - logSum) - share;
  }
  return loss;
}

const weightError = (problem: string): PeftError =>
  new PeftError('PEFT_LABEL_RANGE', `listCrossEntropy: ${problem}.`, {
    hint: 'give each item of a list a number of at least 0',
  });
