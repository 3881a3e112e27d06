/**
 * KTO: 1 − σ(β·(r − z)) of a desirable answer, 1 − σ(β·(z − r)) of another, r = ln π/π_ref and z the KL of
 * policy and reference (Ethayarajh et al. 2024, eq. 7).
 */
import * as tf from '@tensorflow/tfjs';
import type { UnpairedLoss } from './unpaired-loss.js';

export const ktoLoss: UnpairedLoss = Object.freeze<UnpairedLoss>({
  name: 'kto',
  hasBaseline: true,
  losses: ({ ratios, signs, kl, beta }) =>
    tf.sigmoid(tf.mul(tf.mul(tf.sub(kl, ratios), signs), beta)),
});
