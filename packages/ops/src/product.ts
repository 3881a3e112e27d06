/**
 * The product of two matrices, either of them transposed: y = op(a)·op(b). Not differentiable itself.
 *
 * tfjs 4.22's wasm backend multiplies plain matrices with XNNPACK and transposed ones with a loop ten times slower
 * (3.6 against 45 GFLOP/s at 1024 × 768 × 768), so there the transpose is made first.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';

/** @returns `[rows of op(a), columns of op(b)]`, owned by the enclosing scope. */
export function product(a: Tensor2D, b: Tensor2D, transposeA = false, transposeB = false): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() => tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b));
}
