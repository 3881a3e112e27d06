/**
 * SimPO: −(1 − ε)·ln σ(z) − ε·ln σ(−z), z = β·(l_w − l_l) − γ, l the mean ln π of an answer's tokens (Meng et al.
 * 2024, eq. 6; ε as TRL). No reference.
 */
import * as tf from '@tensorflow/tfjs';
import { smoothedLogistic } from '../smoothed-logistic.js';
import type { PairLoss } from '../pair-loss.js';

export const simpoLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'simpo',
  hasReference: false,
  reads: ['labelSmoothing', 'margin'],
  isAveraged: true,
  losses: ({ chosen, rejected }, { beta, labelSmoothing, margin }) =>
    smoothedLogistic(tf.sub(tf.mul(tf.sub(chosen, rejected), beta), margin), labelSmoothing),
});
