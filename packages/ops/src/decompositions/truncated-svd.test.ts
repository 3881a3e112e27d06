import { seededValues } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { symmetricEigen } from './symmetric-eigen.js';
import {
  randomizedSvd,
  rowsOf,
  truncatedQr,
  truncatedSvd,
  type Rows,
  type Svd,
} from './truncated-svd.js';

const random = (rows: number, columns: number, seed = 1): Rows =>
  rowsOf(seededValues(seed, rows * columns), rows, columns);
const rebuilt = ({ values, left, right }: Svd): number[][] =>
  Array.from(left[0]!, (_, i) =>
    Array.from(right[0]!, (_value, j) =>
      values.reduce((sum, s, k) => sum + s * left[k]![i]! * right[k]![j]!, 0),
    ),
  );
const worst = (a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number =>
  Math.max(...a.flatMap((row, i) => Array.from(row, (value, j) => Math.abs(value - b[i]![j]!))));
const dots = (vectors: readonly Float64Array[]): number[][] =>
  vectors.map((u) => vectors.map((v) => u.reduce((sum, value, i) => sum + value * v[i]!, 0)));
const identity = (n: number): number[][] =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_value, j) => (i === j ? 1 : 0)));

describe('symmetricEigen', () => {
  it('finds the values of a matrix that is known', () => {
    // The second difference of n points: 2 − 2·cos(kπ/(n+1)).
    const n = 7;
    const matrix = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: n }, (_value, j) => [2, -1][Math.abs(i - j)] ?? 0),
    );
    const { values } = symmetricEigen(matrix);
    values.forEach((value, i) =>
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((n - i) * Math.PI) / (n + 1)), 12),
    );
  });

  it('gives orthonormal vectors that rebuild the matrix', () => {
    const w = random(23, 23);
    const matrix = w.map((row, i) => row.map((value, j) => value + w[j]![i]!));
    const { values, vectors } = symmetricEigen(matrix.map((row) => Float64Array.from(row)));
    expect(worst(dots(vectors), identity(23))).toBeLessThan(1e-12);
    expect(worst(rebuilt({ values, left: vectors, right: vectors }), matrix)).toBeLessThan(1e-11);
  });

  it('copes with equal values and zeros', () => {
    const { values, vectors } = symmetricEigen(identity(4).map((row) => Float64Array.from(row)));
    expect([...values]).toEqual([1, 1, 1, 1]);
    expect(worst(dots(vectors), identity(4))).toBeLessThan(1e-14);
    expect([...symmetricEigen([new Float64Array(2), new Float64Array(2)]).values]).toEqual([0, 0]);
  });
});

describe('truncatedSvd', () => {
  it.each([
    [9, 14],
    [14, 9],
    [6, 6],
  ])('of all ranks rebuilds a %i × %i matrix', (rows, columns) => {
    const w = random(rows, columns);
    const svd = truncatedSvd(w, Math.min(rows, columns));
    expect(worst(rebuilt(svd), w)).toBeLessThan(1e-10);
    expect([...svd.values]).toEqual([...svd.values].sort((a, b) => b - a));
  });

  it('leaves out the smallest: the error is the first value left out', () => {
    const w = random(12, 20);
    const all = truncatedSvd(w, 12);
    const some = truncatedSvd(w, 5);
    const rest = w.map((row, i) =>
      Float64Array.from(row, (value, j) => value - rebuilt(some)[i]![j]!),
    );
    expect(truncatedSvd(rest, 1).values[0]).toBeCloseTo(all.values[5]!, 9);
  });
});

it('truncatedSvd copes with a matrix of low rank', () => {
  const [u, v] = [random(40, 3), random(30, 3, 2)];
  const w = u.map((row) =>
    Float64Array.from(v, (other) => row.reduce((sum, value, k) => sum + value * other[k]!, 0)),
  );
  expect(worst(rebuilt(truncatedSvd(w, 3)), w)).toBeLessThan(1e-10);
});

it('randomizedSvd comes close where values fall off', () => {
  const [u, v] = [random(30, 4), random(40, 4, 2)];
  const w = u.map((row) =>
    Float64Array.from(v, (other) =>
      row.reduce((sum, value, k) => sum + value * other[k]! * 10 ** -k, 0),
    ),
  );
  const [exact, close] = [truncatedSvd(w, 2), randomizedSvd(w, 2, 8)];
  expect(worst(rebuilt(close), rebuilt(exact))).toBeLessThan(1e-8);
});

it('truncatedQr gives the first columns of Q and rows of R', () => {
  const w = random(8, 11);
  const { q, r } = truncatedQr(w, 3);
  expect(worst(dots(q), identity(3))).toBeLessThan(1e-12);
  const first = w.map((row) => row.subarray(0, 3));
  expect(
    worst(
      w.map((_, i) =>
        Array.from({ length: 3 }, (_value, j) =>
          q.reduce((sum, u, k) => sum + u[i]! * r[k]![j]!, 0),
        ),
      ),
      first,
    ),
  ).toBeLessThan(1e-12);
});
