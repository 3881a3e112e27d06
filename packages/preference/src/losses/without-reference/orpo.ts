/**
 * ORPO: −β·ln σ(ln odds_w − ln odds_l), ln odds = l − ln(1 − e^l), l the mean ln π of an answer's tokens, and the
 * mean −ln π over prompt and answer of the chosen sequences (Hong et al. 2024, eq. 4 and 7; β is the
 * paper's λ; the prompt counts in TRL). No reference.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

export const orpoLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'orpo',
  hasReference: false,
  isAveraged: true,
  likelihood: { tokens: 'whole', weight: 1 },
  losses: ({ chosen, rejected }, { beta }) =>
    tf.mul(logSigmoid(tf.sub(logOdds(chosen), logOdds(rejected))), -beta),
});

/** l − ln(1 − e^l), l < 0. */
const logOdds = (l: Tensor1D): Tensor => tf.sub(l, tf.log(tf.neg(tf.expm1(l))));
