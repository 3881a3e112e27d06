/** Sum over the rows: y[d] = Σ_n x[n,d]; the gradient of a bias. Not differentiable itself. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { runKernel } from '../tape/kernel.js';

/** @param x `[N, D]`. @returns `[D]`, owned by the enclosing scope. */
export function sumRows(x: Tensor): Tensor1D {
  return runKernel('PeftSumRows', { x }, {}, () => [referenceSum(x as Tensor2D)])[0] as Tensor1D;
}

/**
 * tfjs's wasm backend transposes before it sums over rows; a product with ones takes a tenth of the
 * time there.
 */
function referenceSum(x: Tensor2D): Tensor {
  const [rows, width] = x.shape;
  return tf.getBackend() === 'wasm'
    ? tf.reshape(tf.matMul(tf.ones([1, rows]), x), [width])
    : tf.sum(x, 0);
}
