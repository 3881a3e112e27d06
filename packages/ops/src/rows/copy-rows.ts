/**
 * Rows of a tensor in another order, outside the tape: what the references of gathering operations
 * are made of. By the engine's kernel where there is one. Else the values are read and written in
 * JavaScript, on tfjs's cpu and wasm backends five to ten times as fast as their gather; on a device
 * they stay there.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { hasDeviceMemory } from '../tape/device-memory.js';
import { hasKernel, runKernel } from '../tape/kernel.js';

/**
 * y[n] = x[rows[n]] along the first axis, `fill` where rows[n] is −1. A fresh tensor, owned by the
 * enclosing scope.
 */
export function copyRows<T extends Tensor>(x: T, rows: Int32Array, fill = 0): T {
  if (hasDeviceMemory() || hasKernel('PeftGatherRows')) return pickRows(x, rows, fill);
  const [, ...inner] = x.shape;
  const width = inner.reduce((size, axis) => size * axis, 1);
  const values = x.dataSync() as Float32Array;
  const out = new Float32Array(rows.length * width);
  for (let n = 0; n < rows.length; n += 1) {
    const row = rows[n]!;
    if (row >= 0) out.set(values.subarray(row * width, (row + 1) * width), n * width);
    else if (fill !== 0) out.fill(fill, n * width, (n + 1) * width);
  }
  return tf.tensor(out, [rows.length, ...inner], 'float32') as T;
}

/** The same in the backend's own operations, nothing being read. */
export function pickRows<T extends Tensor>(x: T, rows: Int32Array, fill = 0): T {
  const [count, ...inner] = x.shape;
  const width = inner.reduce((size, axis) => size * axis, 1);
  return tf.tidy(() => {
    const matrix = tf.reshape<tf.Rank.R2>(x, [count!, width]);
    const hasHoles = rows.includes(-1);
    const table = hasHoles
      ? (tf.concat([matrix, tf.fill([1, width], fill)], 0) as Tensor2D)
      : matrix;
    const found = hasHoles ? rows.map((row) => (row < 0 ? count! : row)) : rows;
    const [picked] = runKernel('PeftGatherRows', { x: table }, { rows: found }, () => [
      tf.gather(table, tf.tensor1d(found, 'int32')),
    ]);
    return tf.reshape(picked!, [rows.length, ...inner]);
  }) as T;
}

/**
 * y[rows_p[i]] = pieces_p[i] for each piece p; 0 in rows that none names. A fresh tensor of
 * `shape`.
 */
export function placeRows<T extends Tensor>(
  pieces: readonly T[],
  rows: readonly Int32Array[],
  shape: readonly number[],
): T {
  const places = new Int32Array(shape[0]!).fill(-1);
  let at = 0;
  for (const own of rows) for (const row of own) places[row] = at++;
  if (at === 0) return tf.zeros(shape as number[]) as T;
  return tf.tidy(() =>
    copyRows(pieces.length === 1 ? pieces[0]! : (tf.concat(pieces as T[], 0) as T), places),
  );
}
