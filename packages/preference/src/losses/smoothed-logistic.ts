/** −(1 − ε)·ln σ(z) − ε·ln σ(−z): logistic loss with a share ε of the labels taken for wrong. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { logSigmoid } from '@peft/ops';

/** @param logits z, of any shape. */
export function smoothedLogistic(logits: Tensor, labelSmoothing: number): Tensor {
  const right = tf.neg(logSigmoid(logits));
  if (labelSmoothing === 0) return right;
  const wrong = tf.neg(logSigmoid(tf.neg(logits)));
  return tf.add(tf.mul(right, 1 - labelSmoothing), tf.mul(wrong, labelSmoothing));
}
