/**
 * DiscoPOP: (1 − m)·(−ln σ(z)) + m·exp(−z), z = β·Δ, m = σ(z/τ), τ = 0.05 (Lu et al. 2024, eq. 5).
 */
import * as tf from '@tensorflow/tfjs';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

/** τ, TRL's default. */
const TEMPERATURE = 0.05;

export const discopopLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'discopop',
  hasReference: true,
  losses: ({ chosen, rejected }, { beta }) => {
    const z = tf.mul(tf.sub(chosen, rejected), beta);
    const share = tf.sigmoid(tf.div(z, TEMPERATURE));
    const logistic = tf.mul(tf.neg(logSigmoid(z)), tf.sub(1, share));
    return tf.add(logistic, tf.mul(tf.exp(tf.neg(z)), share));
  },
});
