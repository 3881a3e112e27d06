import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { toBeAllclose } from './to-be-allclose.js';

expect.extend({ toBeAllclose });

test('numbers within atol + rtol·|expected| pass, others fail and the worst is named', () => {
  expect([1, 100.0009]).toBeAllclose([1, 100], { atol: 0, rtol: 1e-5 });
  expect(() =>
    expect([1, 100.002, 7]).toBeAllclose([1, 100, 7], { atol: 0, rtol: 1e-5 }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[Error: 1 of 3 numbers differ by more than atol 0 + rtol 0.00001; worst at 1: got 100.002, expected 100]`,
  );
});

test('tensors, nested arrays and single numbers are compared; a tensor of another shape fails', () => {
  tf.tidy(() => {
    const x = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    expect(x).toBeAllclose([
      [1, 2],
      [3, 4],
    ]);
    expect(3).toBeAllclose(3.0000001);
    expect(() => expect(x).toBeAllclose(tf.tensor1d([1, 2, 3, 4]))).toThrow(
      'shapes differ: got [2, 2], expected [4]',
    );
    expect(() => expect(x).toBeAllclose([1, 2, 3])).toThrow('got 4 numbers, expected 3');
  });
});

test('NaN and infinities are equal only to themselves', () => {
  expect([Number.NaN, Number.POSITIVE_INFINITY]).toBeAllclose([
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ]);
  expect([Number.NaN]).not.toBeAllclose([0], { atol: 1e9 });
  expect([Number.POSITIVE_INFINITY]).not.toBeAllclose([1e30], { atol: 1 });
});
