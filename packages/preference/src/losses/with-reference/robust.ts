/**
 * Robust DPO: (−(1 − ε)·ln σ(β·Δ) + ε·ln σ(−β·Δ)) / (1 − 2ε), unbiased where a share ε of the labels is flipped
 * (Chowdhury et al. 2024). ε in [0, 0.5).
 */
import * as tf from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { logSigmoid } from '@peft/ops';
import type { PairLoss } from '../pair-loss.js';

export const robustLoss: PairLoss = Object.freeze<PairLoss>({
  name: 'robust',
  hasReference: true,
  reads: ['labelSmoothing'],
  check(owner, { labelSmoothing }) {
    if (labelSmoothing >= 0.5)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${owner}: labelSmoothing of the loss robust must be below 0.5, got ${labelSmoothing}.`,
        { hint: 'it is the share of labels that are wrong; from a half on nothing can be learnt' },
      );
  },
  losses: ({ chosen, rejected }, { beta, labelSmoothing }) => {
    const logits = tf.mul(tf.sub(chosen, rejected), beta);
    const clean = tf.mul(logSigmoid(logits), labelSmoothing - 1);
    const flipped = tf.mul(logSigmoid(tf.neg(logits)), labelSmoothing);
    return tf.div(tf.add(clean, flipped), 1 - 2 * labelSmoothing);
  },
});
