/**
 * APO-zero of single answers: 1 − σ(β·r) of a desirable one, σ(β·r) of another, r = ln π/π_ref (D'Oosterlinck
 * et al. 2024, eq. 7, unpaired as in TRL).
 */
import * as tf from '@tensorflow/tfjs';
import type { UnpairedLoss } from './unpaired-loss.js';

export const apoZeroUnpairedLoss: UnpairedLoss = Object.freeze<UnpairedLoss>({
  name: 'apo_zero_unpaired',
  hasBaseline: false,
  losses: ({ ratios, signs, beta }) => tf.sigmoid(tf.mul(tf.mul(ratios, signs), -beta)),
});
