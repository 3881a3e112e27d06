import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';

/** Each block of columns of x `[N, n·S]` times its matrix of `[n, S, S]`. */
export function rotate(x: Tensor2D, matrices: Tensor3D): Tensor2D {
  const [count, size] = matrices.shape;
  const blocks = tf.transpose(tf.reshape(x, [-1, count, size]) as Tensor3D, [1, 0, 2]); // [n, N, S]
  return tf.reshape(tf.transpose(tf.matMul(blocks, matrices), [1, 0, 2]), [-1, count * size]);
}
