/** Everything an engine computes with a frozen weight, against the weight's stored values. */
import * as tf from '@tensorflow/tfjs';
import type { Engine, FrozenWeight } from '@peft/ops';
import { expect } from 'vitest';
import { seededValues } from './seeded-tensor.js';

/** Products both ways, a gather with repeats, and all values. */
export function checkWeight(
  engine: Engine,
  weight: FrozenWeight,
  stored: Float32Array,
  rows: number,
): void {
  const [out, width] = weight.shape as [number, number];
  const exact = { atol: 1e-6, rtol: 1e-6 }; // expanding the maxima rounds once
  expect(engine.dequantize(weight)).toBeAllclose(tf.tensor2d(stored, [out, width]), exact);
  const ids = Int32Array.from({ length: 9 }, (_, n) => (n * 5) % out);
  expect(engine.gather(weight, ids)).toBeAllclose(
    [...ids].flatMap((id) => [...stored.slice(id * width, (id + 1) * width)]),
    exact,
  );
  const x = seededValues('x', rows * width);
  const bias = seededValues('bias', out);
  const dy = seededValues('dy', rows * out);
  const forward = slowProduct(x, stored, rows, width, out, (o, i) => o * width + i);
  const plain = engine.linear(tf.tensor2d(x, [rows, width]), weight);
  const withBias = engine.linear(tf.tensor2d(x, [rows, width]), weight, tf.tensor1d(bias));
  const gradient = engine.linearInputGradient(tf.tensor2d(dy, [rows, out]), weight);
  expect(plain.shape).toEqual([rows, out]);
  expect(gradient.shape).toEqual([rows, width]);
  expectProduct(engine, plain.dataSync(), forward);
  expectProduct(
    engine,
    withBias.dataSync(),
    forward.map((entry, n) => ({ ...entry, value: entry.value + bias[n % out]! })),
  );
  expectProduct(
    engine,
    gradient.dataSync(),
    slowProduct(dy, stored, rows, out, width, (i, o) => o * width + i),
  );
}

/** Σ in float64 of x[n, k]·w[at(m, k)] and of the magnitudes, which bound the rounding error. */
function slowProduct(
  x: Float32Array,
  w: Float32Array,
  rows: number,
  inner: number,
  outer: number,
  at: (outer: number, inner: number) => number,
): { value: number; size: number }[] {
  return Array.from({ length: rows * outer }, (_, n) => {
    let [value, size] = [0, 0];
    for (let k = 0; k < inner; k += 1) {
      const term = x[Math.floor(n / outer) * inner + k]! * w[at(n % outer, k)]!;
      value += term;
      size += Math.abs(term);
    }
    return { value, size };
  });
}

/** Both operands rounded (2⁻⁸ each with bfloat16), float32 sums. */
function expectProduct(
  engine: Engine,
  got: ArrayLike<number>,
  wanted: { value: number; size: number }[],
): void {
  const unit = engine.precision === 'bfloat16' ? 2 ** -7 : 2 ** -20;
  const worst = wanted.reduce(
    (found, { value, size }, n) =>
      Math.max(found, Math.abs(got[n]! - value) / (unit * size + 1e-6)),
    0,
  );
  expect(worst, 'error of a product in units of its bound').toBeLessThanOrEqual(1);
  expect(Number.isNaN(worst)).toBe(false);
}
