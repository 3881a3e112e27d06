/** Sum over the rows: y[d] = Σ_n x[n,d]; the gradient of a bias. Not differentiable itself. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { runKernel } from './kernel.js';

/** @param x `[N, D]`. @returns `[D]`, owned by the enclosing scope. */
export function sumRows(x: Tensor): Tensor1D {
  return runKernel('PeftSumRows', { x }, {}, () => [tf.sum(x as Tensor2D, 0)])[0] as Tensor1D;
}
