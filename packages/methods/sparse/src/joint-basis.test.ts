import { rowsOf, randomKey, randomNormal } from '@peft/ops';
import { describe, expect, test } from 'vitest';
import { jointBasis, layerFactors } from './joint-basis.js';

const random = (rows: number, columns: number, seed: number) =>
  rowsOf(
    Float64Array.from({ length: rows * columns }, (_, i) => randomNormal(randomKey(seed, 'w'), i)),
    rows,
    columns,
  );

describe('the basis that layers share', () => {
  test.each([
    ['as many rows as columns and more', 9, 7],
    ['fewer rows than columns', 2, 7],
  ])('gives each weight back, of layers with %s', (_title, rows, columns) => {
    const weights = [random(rows, columns, 1), random(rows, columns, 2)];
    const basis = jointBasis(weights, 1e-3);
    for (const weight of weights) {
      const { u, lambda } = layerFactors(basis, weight);
      weight.forEach((row, i) =>
        row.forEach((value, j) => {
          let sum = 0;
          for (let k = 0; k < columns; k += 1)
            sum += u[i * columns + k]! * lambda[k]! * basis[j]![k]!;
          expect(sum).toBeCloseTo(value, 5);
        }),
      );
    }
  });

  test('has columns of U of length 1', () => {
    const weights = [random(9, 5, 1), random(9, 5, 2)];
    const { u } = layerFactors(jointBasis(weights, 1e-3), weights[0]!);
    for (let k = 0; k < 5; k += 1)
      expect(Math.hypot(...Array.from({ length: 9 }, (_, i) => u[i * 5 + k]!))).toBeCloseTo(1, 6);
  });

  test("is a root of the sum of all layers' squares", () => {
    const weights = [random(9, 4, 3), random(9, 4, 4)];
    const basis = jointBasis(weights, 0.01);
    const gram = (rows: readonly Float64Array[], i: number, j: number) =>
      rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0);
    const total = rowsOf(
      Float64Array.from({ length: 16 }, (_, at) =>
        weights.reduce((sum, rows) => sum + gram(rows, at >> 2, at & 3), 0),
      ),
      4,
      4,
    );
    // V·Vᵀ = Rᵀ·R = G
    for (let i = 0; i < 4; i += 1)
      for (let j = 0; j < 4; j += 1)
        expect(basis[i]!.reduce((sum, value, k) => sum + value * basis[j]![k]!, 0)).toBeCloseTo(
          total[i]![j]!,
          8,
        );
  });
});
