/**
 * CPO: −(1 − ε)·ln σ(β·Δ) − ε·ln σ(−β·Δ), Δ = ln π(y_w|x) − ln π(y_l|x), and the mean −ln π of
 * the chosen answers' tokens (Xu et al. 2024). No reference.
 */
import * as tf from '@tensorflow/tfjs';
import { smoothedLogistic } from '../smoothed-logistic.js';
import type { PairLoss } from '../pair-loss.js';

export const cpoLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'cpo',
  hasReference: false,
  reads: ['labelSmoothing'],
  likelihood: { tokens: 'answer', weight: 1 },
  losses: ({ chosen, rejected }, { beta, labelSmoothing }) =>
    smoothedLogistic(tf.mul(tf.sub(chosen, rejected), beta), labelSmoothing),
});
