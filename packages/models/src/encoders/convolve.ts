/**
 * Convolution along the tokens of each sequence: y[t] = b + Σ_k W_k·x[t + k − ⌊K/2⌋], rows outside
 * the sequence being 0. x `[N, D]`, W `[O, D, K]` as torch's Conv1d stores it, b `[O]`, y `[N, O]`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { freezeTensor, gatherRows, isFrozenTensor, linear } from '@peft/ops';

/** @returns `[N, O]`, owned by the enclosing scope. */
export function convolve(x: Tensor2D, weight: Tensor, bias: Tensor, offsets: Int32Array): Tensor2D {
  const [total, width] = x.shape;
  const [outputs, , kernel] = weight.shape as [number, number, number];
  // [N, D·K]
  const unfolded = tf.reshape(tf.stack(shiftedCopies(x, kernel, offsets), 2), [
    total,
    width * kernel,
  ]) as Tensor2D;
  const flat = tf.reshape(weight, [outputs, width * kernel]) as Tensor2D;
  return linear(unfolded, isFrozenTensor(weight) ? freezeTensor(flat) : flat, bias as Tensor1D);
}

/** x_{t + k − ⌊K/2⌋} for each k of a kernel of K, rows outside the sequence being 0. */
export function shiftedCopies(x: Tensor2D, kernel: number, offsets: Int32Array): Tensor2D[] {
  const [total, width] = x.shape;
  const padded = tf.concat([x, tf.zeros<tf.Rank.R2>([1, width])], 0); // row `total` is 0
  return Array.from({ length: kernel }, (_, k) =>
    gatherRows(padded, shiftedRows(offsets, k - Math.floor(kernel / 2), total)),
  );
}

function shiftedRows(offsets: Int32Array, shift: number, outside: number): Int32Array {
  const rows = new Int32Array(outside).fill(outside);
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const [start, end] = [offsets[b]!, offsets[b + 1]!];
    for (let n = start; n < end; n += 1)
      if (n + shift >= start && n + shift < end) rows[n] = n + shift;
  }
  return rows;
}
