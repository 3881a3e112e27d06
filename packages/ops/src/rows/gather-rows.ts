/** Rows by index: y[n] = x[rows[n]]; gradient dx[rows[n]] += dy[n]. x `[M, D]`, y `[N, D]`. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { copyRows } from './copy-rows.js';
import { hasDeviceMemory } from '../tape/device-memory.js';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';

/**
 * @param rows each in [0, M).
 * @returns `[N, D]`, owned by the enclosing scope.
 * @throws PEFT_TOKEN_ID_RANGE
 */
export function gatherRows(x: Tensor2D, rows: Int32Array): Tensor2D {
  const size = x.shape[0];
  checkRows(rows, size);
  return differentiable<'x', Tensor2D>(
    { x },
    () => runKernel('PeftGatherRows', { x }, { rows }, () => [copyRows(x, rows)])[0]!,
    ({ dy }) => ({ x: scatterAddRows(dy as Tensor2D, rows, size) }),
  );
}

/**
 * y[rows[n]] += x[n] in order of n; y `[size, D]`. Its gradient gathers.
 * @throws PEFT_TOKEN_ID_RANGE
 */
export function scatterAddRows(x: Tensor2D, rows: Int32Array, size: number): Tensor2D {
  checkRows(rows, size);
  return differentiable<'x', Tensor2D>(
    { x },
    () =>
      runKernel('PeftScatterAddRows', { x }, { rows, size }, () => [
        referenceScatter(x, rows, size),
      ])[0]!,
    ({ dy }) => ({ x: gatherRows(dy as Tensor2D, rows) }),
  );
}

/** A product with the 0/1 matrix of the rows would be quadratic. */
function referenceScatter(x: Tensor, rows: Int32Array, size: number): Tensor {
  const width = x.shape[1]!;
  if (hasDeviceMemory())
    return tf.scatterND(tf.tensor2d(rows, [rows.length, 1], 'int32'), x, [size, width]);
  const values = x.dataSync();
  const out = new Float32Array(size * width);
  for (let n = 0; n < rows.length; n += 1) {
    const at = rows[n]! * width;
    for (let d = 0; d < width; d += 1) out[at + d]! += values[n * width + d]!;
  }
  return tf.tensor2d(out, [size, width]);
}

/** @throws PEFT_TOKEN_ID_RANGE when a row is outside [0, size). */
export function checkRows(rows: Int32Array, size: number): void {
  for (let n = 0; n < rows.length; n += 1) {
    if (rows[n]! < 0 || rows[n]! >= size) {
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `embed: index ${rows[n]} at position ${n} is outside the ${size} rows of the table.`,
        {
          hint: 'the tokenizer and the model are probably not a pair, or a text is longer than the model allows',
        },
      );
    }
  }
}
