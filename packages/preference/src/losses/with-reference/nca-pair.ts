/**
 * NCA of two answers: −ln σ(s_w) − ½·ln σ(−s_w) − ½·ln σ(−s_l), s = β·ln π/π_ref (Chen et al. 2024).
 */
import * as tf from '@tensorflow/tfjs';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

export const ncaPairLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'nca_pair',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) => {
    const [better, worse] = [tf.mul(chosen, beta), tf.mul(rejected, beta)];
    const away = tf.add(logSigmoid(tf.neg(better)), logSigmoid(tf.neg(worse)));
    return tf.neg(tf.add(logSigmoid(better), tf.mul(away, 0.5)));
  },
});
