import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { appendRows } from './append-rows.js';

const rows = (...values: number[]) =>
  tf.tensor2d(
    values.flatMap((value) => [value, -value]),
    [values.length, 2],
  );

it('puts the new rows of each sequence behind its old ones', () => {
  const joined = tf.tidy(() =>
    appendRows(
      rows(1, 2, 3),
      Int32Array.of(0, 2, 3),
      rows(7, 8, 9),
      Int32Array.of(0, 1, 3),
    ).arraySync(),
  );
  expect(joined).toEqual([
    [1, -1],
    [2, -2],
    [7, -7],
    [3, -3],
    [8, -8],
    [9, -9],
  ]);
  expect(
    tf.tidy(() =>
      appendRows(rows(1, 2), Int32Array.of(0, 2), rows(3), Int32Array.of(0, 1)).arraySync(),
    ),
  ).toEqual([
    [1, -1],
    [2, -2],
    [3, -3],
  ]);
});

it('refuses sequences and widths that do not fit together', () => {
  expect(() =>
    appendRows(rows(1), Int32Array.of(0, 1), rows(2, 3), Int32Array.of(0, 1, 2)),
  ).toThrow(/1 sequences of width 2 cannot go on with 2 of width 2/);
  expect(() =>
    appendRows(rows(1), Int32Array.of(0, 1), tf.zeros([1, 3]) as tf.Tensor2D, Int32Array.of(0, 1)),
  ).toThrow(/PEFT_SHAPE_MISMATCH|width 3/);
});
