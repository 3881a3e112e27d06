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
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { longestSequence } from '../positions/offsets.js';
import { copyRows } from '../rows/copy-rows.js';
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
  const lists = sideBySide(weights, offsets);
  return differentiable<'scores', Tensor1D>(
    { scores },
    (save) => {
      const [loss, slopes] = tf.tidy(() => {
        const table = tf.reshape<tf.Rank.R2>(copyRows(scores, lists.places, NO_ITEM), lists.shape);
        const shares = tf.tensor2d(lists.shares, lists.shape);
        const logProbabilities = tf.logSoftmax(table);
        const counted = tf.tensor2d(lists.counted, [lists.shape[0], 1]);
        const isShared = tf.tensor2d(
          lists.shares.map((share) => Number(share > 0)),
          lists.shape,
          'bool',
        ); // −∞ of a place without an item times 0 is no number
        const costs = tf.mul(shares, logProbabilities);
        return [
          tf.neg(tf.sum(tf.where(isShared, costs, tf.zerosLike(costs)), 1)),
          tf.mul(tf.sub(tf.exp(logProbabilities), shares), counted), // softmax − P
        ] as [Tensor1D, Tensor2D];
      });
      save([slopes]);
      return loss;
    },
    ({ dy, saved }) => ({
      scores: copyRows(
        tf.reshape(tf.mul(saved[0]!, tf.expandDims(dy, 1)), [-1]),
        lists.placesOfItems,
      ),
    }),
  );
}

/** The score of a place that no item has: its probability is exactly 0. */
const NO_ITEM = -1e30;

/** The lists as rows of one table, the longest of them as wide as it. */
function sideBySide(weights: Float32Array, offsets: Int32Array) {
  const count = offsets.length - 1;
  const width = Math.max(1, longestSequence(offsets));
  const places = new Int32Array(count * width).fill(-1); // which item is at a place
  const placesOfItems = new Int32Array(weights.length);
  const shares = new Float32Array(count * width); // P
  const counted = new Float32Array(count); // 0 for a list whose weights are all 0
  for (let r = 0; r < count; r += 1) {
    const [start, end] = [offsets[r]!, offsets[r + 1]!];
    const total = weights.subarray(start, end).reduce((sum, weight) => sum + weight, 0);
    counted[r] = Number(total > 0);
    for (let i = start; i < end; i += 1) {
      const place = r * width + i - start;
      places[place] = i;
      placesOfItems[i] = place;
      if (total > 0) shares[place] = weights[i]! / total;
    }
  }
  return { shape: [count, width] as [number, number], places, placesOfItems, shares, counted };
}

const weightError = (problem: string): PeftError =>
  new PeftError('PEFT_LABEL_RANGE', `listCrossEntropy: ${problem}.`, {
    hint: 'give each item of a list a number of at least 0',
  });
