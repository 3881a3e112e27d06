/**
 * The focal factor (Lin et al. 2017, arXiv 1708.02002, eq. 4): easy examples count less,
 *
 *   FL = (1 − p_t)^γ·loss, p_t = e^{−l},
 *
 * with l = −ln p_t the plain cross entropy of the true class, loss what it is multiplied with (the same,
 * or weighted), γ the focus. Both are on the tape.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { check } from '@peft/errors';

/** 1 − p_t below it counts as it, since (1 − p_t)^γ has no slope at 0 for γ < 1. */
const SMALLEST = 1e-7;

/**
 * @param loss to be weighed. @param plain l, of the same shape. @param gamma γ, at least 0.
 * @returns the shape of `loss`, owned by the enclosing scope.
 * @throws PEFT_CONFIG_INVALID for a negative γ
 */
export function focal<T extends Tensor>(loss: T, plain: T, gamma: number): T {
  check.finite('focal', 'gamma', gamma);
  if (gamma === 0) return loss;
  check.positive('focal', 'gamma', gamma);
  const wrong = tf.maximum(tf.sub(1, tf.exp(tf.neg(plain))), SMALLEST);
  return tf.mul<T>(tf.exp(tf.mul(tf.log(wrong), gamma)), loss);
}
