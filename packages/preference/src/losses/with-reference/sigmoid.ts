/**
 * DPO: −(1 − ε)·ln σ(β·Δ) − ε·ln σ(−β·Δ), Δ = r_w − r_l, r = ln π(y|x) − ln π_ref(y|x). ε = 0 is eq. 7
 * of Rafailov et al. 2023; ε > 0 conservative DPO (Mitchell 2023), which TRL 1.13 does not have.
 */
import * as tf from '@tensorflow/tfjs';
import { smoothedLogistic } from '../smoothed-logistic.js';
import type { PairLoss } from '../pair-loss.js';

export const sigmoidLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'sigmoid',
  hasReference: true,
  reads: ['labelSmoothing'],
  losses: ({ chosen, rejected }, { beta, labelSmoothing }) =>
    smoothedLogistic(tf.mul(tf.sub(chosen, rejected), beta), labelSmoothing),
});
