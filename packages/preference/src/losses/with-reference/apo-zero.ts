/**
 * APO-zero: 1 − σ(s_w) + σ(s_l), s = β·ln π/π_ref: both answers are compared with the reference (D'Oosterlinck et
 * al. 2024, eq. 7).
 */
import * as tf from '@tensorflow/tfjs';
import type { PairLoss } from '../pair-loss.js';

export const apoZeroLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'apo_zero',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) =>
    tf.add(tf.sigmoid(tf.mul(chosen, -beta)), tf.sigmoid(tf.mul(rejected, beta))),
});
