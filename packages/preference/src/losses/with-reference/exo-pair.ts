/**
 * EXO of two answers: the reverse KL from softmax(β·r) over both to [1 − ε, ε],
 * q·(ln q − ln(1 − ε)) + (1 − q)·(ln(1 − q) − ln ε), q = σ(β·Δ) (Ji et al. 2024, eq. 16). ε in (0, 1).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

export const exoPairLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'exo_pair',
  hasReference: true,
  reads: ['labelSmoothing'],
  check(owner, { labelSmoothing }) {
    if (labelSmoothing === 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${owner}: labelSmoothing of the loss exo_pair must be above 0, got 0.`,
        { hint: 'the loss has the logarithm of it: 0.001 is a usual value' },
      );
  },
  losses: ({ chosen, rejected }, { beta, labelSmoothing }) => {
    const logits = tf.mul(tf.sub(chosen, rejected), beta);
    const term = (z: Tensor, share: number) =>
      tf.mul(tf.sigmoid(z), tf.sub(logSigmoid(z), Math.log(share)));
    return tf.add(term(logits, 1 - labelSmoothing), term(tf.neg(logits), labelSmoothing));
  },
});
