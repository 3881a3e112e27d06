/**
 * DPO on means over tokens: −ln σ(β·Δ), Δ = r_w/|y_w| − r_l/|y_l|, r = ln π/π_ref, |y| the tokens of an
 * answer (TRL 1.13's `sigmoid_norm`).
 */
import * as tf from '@tensorflow/tfjs';
import { meanGap } from '../mean-gap.js';
import { smoothedLogistic } from '../smoothed-logistic.js';
import type { PairLoss } from '../pair-loss.js';

export const sigmoidNormLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'sigmoid_norm',
  hasReference: true,
  losses: (scores, { beta }) => smoothedLogistic(tf.mul(meanGap(scores), beta), 0),
});
