/**
 * SLiC's hinge on DPO's log ratios: max(0, 1 − β·Δ), Δ = r_w − r_l (Zhao et al. 2023; Liu et al. 2024).
 */
import * as tf from '@tensorflow/tfjs';
import type { PairLoss } from '../pair-loss.js';

export const hingeLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'hinge',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) =>
    tf.relu(tf.sub(1, tf.mul(tf.sub(chosen, rejected), beta))),
});
