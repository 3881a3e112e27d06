/**
 * ln σ(x) = min(x, 0) − ln(1 + e^{−|x|}); dx = dy·σ(−x). tfjs's own loses its input before the gradient
 * where a scope ends in between.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';

/** @returns a tensor of x's shape, owned by the enclosing scope. */
export function logSigmoid(x: Tensor): Tensor {
  return differentiable<'x', Tensor>(
    { x },
    (save) => {
      save([x]);
      return tf.tidy(() => tf.sub(tf.minimum(x, 0), tf.log1p(tf.exp(tf.neg(tf.abs(x))))));
    },
    ({ dy, saved }) => ({ x: tf.mul(dy, tf.sigmoid(tf.neg(saved[0]!))) }),
  );
}
