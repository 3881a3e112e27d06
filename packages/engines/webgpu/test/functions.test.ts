import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { describeOnWebgpu } from './with-driver.js';

/** Largest error over −20 … 20 against JavaScript's float64, in units of max(1, |value|). */
function worst(run: (x: tf.Tensor) => tf.Tensor, exact: (x: number) => number): number {
  const xs = Float32Array.from({ length: 4001 }, (_, n) => (n - 2000) / 100 + 1e-3);
  const ys = run(tf.tensor1d(xs)).dataSync();
  return xs.reduce((most, x, n) => {
    const wanted = exact(x);
    return Math.max(most, Math.abs(ys[n]! - wanted) / Math.max(1, Math.abs(wanted)));
  }, 0);
}

describeOnWebgpu('functions in WGSL', () => {
  test.each([
    ['sin', tf.sin, Math.sin],
    ['cos', tf.cos, Math.cos],
    ['tanh', tf.tanh, Math.tanh],
    ['sigmoid', tf.sigmoid, (x: number) => 1 / (1 + Math.exp(-x))],
    ['softplus', tf.softplus, (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))],
  ] as const)('%s is exact to a few units of float32', (_, run, exact) => {
    expect(worst((x) => run(x), exact)).toBeLessThan(1e-6);
  });

  test('exp − 1 and log(1 + x) keep the digits of small numbers', () => {
    const xs = Float32Array.of(1e-7, -3e-5, 0.002, -0.3, 0.49, 0.51, 3);
    const relative = (ys: ArrayLike<number>, exact: (x: number) => number) =>
      xs.reduce((most, x, n) => Math.max(most, Math.abs(ys[n]! / exact(x) - 1)), 0);
    const x = tf.tensor1d(xs);
    expect(relative(tf.expm1(x).dataSync(), Math.expm1)).toBeLessThan(1e-6);
    expect(relative(tf.log1p(x).dataSync(), Math.log1p)).toBeLessThan(1e-6);
  });

  test('the largest of a row come with their columns, of equal ones the first', () => {
    const { values, indices } = tf.topk(
      tf.tensor2d([
        [1, 5, 5, -2, 0],
        [-3, -3, -1e30, -3, -4],
      ]),
      3,
    );
    expect([values.arraySync(), indices.arraySync()]).toEqual([
      [
        [5, 5, 1],
        [-3, -3, -3],
      ],
      [
        [1, 2, 0],
        [0, 1, 3],
      ],
    ]);
  });
});
