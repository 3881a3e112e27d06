import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor, toBeAllclose } from '@peft/testing';
import { beforeAll, expect, test } from 'vitest';
import { decomposeByOperations, orthonormalColumns } from './orthonormal-columns.js';

beforeAll(async () => {
  expect.extend({ toBeAllclose });
  await tf.setBackend('cpu');
});

test('columns are orthonormal, span those of the matrix, and have the right gradient', () => {
  tf.tidy(() => {
    const matrix = seededTensor<Tensor2D>('m', [7, 3]);
    const q = orthonormalColumns(matrix);
    expect(tf.matMul(q, q, true)).toBeAllclose(tf.eye(3), { atol: 1e-6 });
    expect(tf.matMul(q, tf.matMul(q, matrix, true))).toBeAllclose(matrix, { atol: 1e-6 });
    expectGradients((x) => orthonormalColumns(x as Tensor2D), [matrix]);
  });
});

test('tensor operations, for a device, give what the loop in float64 gives', () => {
  tf.tidy(() => {
    for (const [rows, columns] of [
      [7, 3],
      [4, 4],
      [5, 1],
    ] as const) {
      const matrix = seededTensor<Tensor2D>(`m${rows}`, [rows, columns]);
      const [q, inverseTransposed] = decomposeByOperations(matrix);
      expect(q).toBeAllclose(orthonormalColumns(matrix), { atol: 1e-5 });
      // R = Qᵀ·M, and R·R⁻¹ = I
      const r = tf.matMul(q, matrix, true);
      expect(tf.matMul(r, inverseTransposed, false, true)).toBeAllclose(tf.eye(columns), {
        atol: 1e-5,
      });
    }
  });
});
