/**
 * APO-down: σ(s_w) + 1 − σ(s_w − s_l), s = β·ln π/π_ref: both answers become less likely, the rejected one more
 * so (D'Oosterlinck et al. 2024, eq. 8).
 */
import * as tf from '@tensorflow/tfjs';
import type { PairLoss } from '../pair-loss.js';

export const apoDownLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'apo_down',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) =>
    tf.add(tf.sigmoid(tf.mul(chosen, beta)), tf.sigmoid(tf.mul(tf.sub(rejected, chosen), beta))),
});
