/**
 * The direction of inputs that an update B·A answers most: its first right singular vector, without
 * making the product. v is an eigenvector of Aᵀ·BᵀB·A, so v = Aᵀ·u for the eigenvector u `[r]` of
 * G = BᵀB·AAᵀ to the largest eigenvalue, which repeated squaring of G `[r, r]` brings out.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs';

/** G to the power 2¹²: what a direction with 99.9 % of the largest eigenvalue leaves is under 2 %. */
const SQUARINGS = 12;

/**
 * @param a A `[r, in]`
 * @param b B `[out, r]`
 * @returns of length 1 `[in]`, its sign any; zeros where B·A is zero. Of the enclosing tidy scope
 */
export function prototypeOf(a: Tensor2D, b: Tensor2D): Tensor1D {
  return tf.tidy(() => {
    let power = scaled(
      tf.matMul(tf.matMul<Tensor2D>(b, b, true, false), tf.matMul<Tensor2D>(a, a, false, true)),
    );
    for (let n = 0; n < SQUARINGS; n += 1) power = scaled(tf.matMul(power, power));
    // the columns are multiples of u: the longest is the one that no start can have missed
    const lengths = tf.sum(tf.square(power), 0);
    const longest = tf.cast<Tensor1D>(tf.reshape(tf.argMax(lengths), [1]), 'int32');
    const u = tf.gather(power, longest, 1); // [r, 1]
    const v = tf.reshape<tf.Rank.R1>(tf.matMul(a, u, true, false), [a.shape[1]]);
    return tf.divNoNan<Tensor1D>(v, tf.norm(v) as Scalar);
  });
}

/** Its largest value is 1. */
const scaled = (matrix: Tensor2D): Tensor2D =>
  tf.divNoNan<Tensor2D>(matrix, tf.max(tf.abs(matrix)));
