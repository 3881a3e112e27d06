import { expect, test } from 'vitest';
import { randomKey, randomNormal } from '../random/counter-random.js';
import { dominantSvd } from './dominant-svd.js';
import { truncatedSvd } from './truncated-svd.js';

const random = (rows: number, columns: number): Float64Array[] =>
  Array.from({ length: rows }, (_, i) =>
    Float64Array.from({ length: columns }, (_value, j) =>
      randomNormal(randomKey(3, 'matrix'), i * columns + j),
    ),
  );
const energy = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value * value, 0);

test('a small matrix is decomposed exactly', () => {
  const w = random(20, 30);
  expect(dominantSvd(w, 3)).toEqual(truncatedSvd(w, 3));
});

test('of a large one of random numbers, whose values hardly fall off, 3 % is lost', () => {
  const w = random(257, 260);
  const [close, exact] = [dominantSvd(w, 8), truncatedSvd(w, 8)];
  const share = energy(close.values) / energy(exact.values);
  expect(share).toBeGreaterThan(0.97);
  expect(share).toBeLessThanOrEqual(1);
  expect([close.values.length, close.left.length, close.right[0]!.length]).toEqual([8, 8, 260]);
});

test('of a large one of low rank nothing is lost', () => {
  const [u, v] = [random(300, 6), random(270, 6)];
  const w = u.map((row) =>
    Float64Array.from(v, (other) => row.reduce((sum, value, k) => sum + value * other[k]!, 0)),
  );
  const { values } = dominantSvd(w, 6);
  const total = w.reduce((sum, row) => sum + energy(row), 0);
  expect(energy(values) / total).toBeCloseTo(1, 12);
});
