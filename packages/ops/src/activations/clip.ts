/** Values within bounds: y = min(max(x, least), most); dx = dy where least ≤ x ≤ most, else 0. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';

/**
 * @param x any shape. @param most the upper bound. @param least the lower bound; default −most.
 * @returns of x's shape, owned by the enclosing scope.
 */
export function clip<T extends Tensor = Tensor2D>(x: T, most: number, least = -most): T {
  return differentiable<'x', T>(
    { x },
    (save) => {
      save([x]);
      return tf.minimum(tf.maximum(x, least), most) as T;
    },
    ({ dy, saved: [savedX] }) => ({
      x: tf.mul(dy, tf.mul(isAtMost(savedX!, most), isAtMost(tf.neg(savedX!), -least))),
    }),
  );
}

/** 1 where x ≤ bound, else 0. */
const isAtMost = (x: Tensor, bound: number): Tensor => tf.sub(1, tf.step(tf.sub(x, bound)));
