/**
 * BCO on pairs: −ln σ(s_w) − ln σ(−s_l), s = β·ln π/π_ref (Jung et al. 2024, without the shift, as TRL).
 */
import * as tf from '@tensorflow/tfjs';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

export const bcoPairLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'bco_pair',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) =>
    tf.neg(tf.add(logSigmoid(tf.mul(chosen, beta)), logSigmoid(tf.mul(rejected, -beta)))),
});
