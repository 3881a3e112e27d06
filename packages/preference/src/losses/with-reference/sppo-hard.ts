/**
 * SPPO with hard wins: (r_w − 1/(2β))² + (r_l + 1/(2β))², r = ln π/π_ref (Wu et al. 2024, eq. 4.7, P in {0, 1}).
 */
import * as tf from '@tensorflow/tfjs';
import type { PairLoss } from '../pair-loss.js';

export const sppoHardLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'sppo_hard',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) =>
    tf.add(tf.square(tf.sub(chosen, 0.5 / beta)), tf.square(tf.add(rejected, 0.5 / beta))),
});
