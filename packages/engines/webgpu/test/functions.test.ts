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

/** By the series 2/√π·Σ (−1)ⁿ·x²ⁿ⁺¹/(n!·(2n + 1)), which float64 bears up to 4. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 120; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (sum * 2) / Math.sqrt(Math.PI);
}

describeOnWebgpu('functions in WGSL', () => {
  test.each([
    ['sin', tf.sin, Math.sin],
    ['cos', tf.cos, Math.cos],
    ['tanh', tf.tanh, Math.tanh],
    ['sigmoid', tf.sigmoid, (x: number) => 1 / (1 + Math.exp(-x))],
    ['softplus', tf.softplus, (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))],
    ['erf', tf.erf, erf],
  ] as const)('%s is exact to a few units of float32', (_, run, exact) => {
    expect(worst((x) => run(x), exact)).toBeLessThan(1e-6);
  });

  test('exp is exact to two units of float32, from 0 to infinity', () => {
    const xs = Float32Array.from({ length: 4001 }, (_, n) => (n - 2000) / 23 + 1e-3);
    const ys = tf.exp(tf.tensor1d(xs)).dataSync();
    expect(Math.max(...xs.map((x, n) => Math.abs(ys[n]! / Math.exp(x) - 1)))).toBeLessThan(2.4e-7);
    const ends = tf.exp(tf.tensor1d([-Infinity, -1e30, -104, 0, 89, Infinity, NaN])).dataSync();
    expect([...ends]).toEqual([0, 0, 0, 1, Infinity, Infinity, NaN]);
  });

  test('exp − 1, log(1 + x) and erf keep the digits of small numbers', () => {
    const xs = Float32Array.of(1e-7, -3e-5, 0.002, -0.3, 0.49, 0.51, 3);
    const relative = (ys: ArrayLike<number>, exact: (x: number) => number) =>
      xs.reduce((most, x, n) => Math.max(most, Math.abs(ys[n]! / exact(x) - 1)), 0);
    const x = tf.tensor1d(xs);
    expect(relative(tf.expm1(x).dataSync(), Math.expm1)).toBeLessThan(1e-6);
    expect(relative(tf.log1p(x).dataSync(), Math.log1p)).toBeLessThan(1e-6);
    expect(relative(tf.erf(x).dataSync(), erf)).toBeLessThan(1e-6);
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
