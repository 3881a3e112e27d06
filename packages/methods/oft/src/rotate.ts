import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import type { AttachmentCall } from '@peft/core';
import { freezeTensor } from '@peft/ops';

/** Each block of columns of x `[N, n·S]` times its matrix of `[n, S, S]`. */
export function rotate(x: Tensor2D, matrices: Tensor3D): Tensor2D {
  const [count, size] = matrices.shape;
  const blocks = tf.transpose(tf.reshape(x, [-1, count, size]) as Tensor3D, [1, 0, 2]); // [n, N, S]
  return tf.reshape(tf.transpose(tf.matMul(blocks, matrices), [1, 0, 2]), [-1, count * size]);
}

/** In training, some of the matrices `[n, S, S]` are the identity instead. */
export function leaveOut(
  matrices: Tensor3D,
  rate: number,
  call: AttachmentCall,
  purpose: string,
): Tensor3D {
  if (!call.training || rate === 0) return matrices;
  const ones = freezeTensor(tf.ones([1, matrices.shape[0]]) as Tensor2D);
  const kept = tf.reshape(tf.mul(call.dropout(ones, rate, purpose), 1 - rate), [-1, 1, 1]);
  const identity = tf.expandDims(tf.eye(matrices.shape[1]), 0);
  return tf.add(tf.mul(matrices, kept), tf.mul(identity, tf.sub(1, kept)));
}
