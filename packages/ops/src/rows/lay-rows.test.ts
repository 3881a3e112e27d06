import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import type { RowPlan } from '../tape/kernels.js';
import { layRows } from './lay-rows.js';

const rows = (...values: number[]) =>
  tf.tensor2d(
    values.flatMap((value) => [value, -value]),
    [values.length, 2],
  );
const laid = (
  x: tf.Tensor2D | undefined,
  added: tf.Tensor2D | undefined,
  plan: RowPlan,
): number[] =>
  tf.tidy(() =>
    layRows(x, added, plan)
      .arraySync()
      .map(([value]) => value!),
  );
const none = new Int32Array(0);

it('lays new rows among old ones that stay', () => {
  const plan = {
    size: 5,
    isInPlace: true,
    moves: none,
    additions: Int32Array.of(1, 2, 1, 0, 4, 1),
  };
  expect(laid(rows(1, 2, 3, 4, 5), rows(8, 9), plan)).toEqual([1, 2, 9, 4, 8]);
});

it('moves ranges in order where they stay, and takes over what is named where they do not', () => {
  const moves = Int32Array.of(0, 2, 2, 2, 1, 1);
  expect(
    laid(rows(1, 2, 3, 4), undefined, { size: 4, isInPlace: true, moves, additions: none }),
  ).toEqual([1, 1, 1, 2]);
  expect(
    laid(rows(1, 2, 3, 4), undefined, { size: 6, isInPlace: false, moves, additions: none }).slice(
      1,
      4,
    ),
  ).toEqual([3, 1, 2]);
});

it('begins with new rows alone', () => {
  const additions = Int32Array.of(0, 1, 2);
  expect(
    laid(undefined, rows(7, 8), { size: 4, isInPlace: false, moves: none, additions }).slice(1, 3),
  ).toEqual([7, 8]);
});

it('refuses widths and ranges that do not fit', () => {
  const plan = { size: 1, isInPlace: true, moves: none, additions: none };
  expect(() => layRows(rows(1), tf.zeros([1, 3]), plan)).toThrow(/width 3 .* width 2/);
  expect(() => layRows(rows(1), rows(2), { ...plan, additions: Int32Array.of(0, 1, 1) })).toThrow(
    /of additions, 1 rows from 0 of 1 do not go to 1 of 1/,
  );
  expect(() => layRows(rows(1, 2), undefined, plan)).toThrow(
    /2 rows cannot become one of 1 in place/,
  );
});
