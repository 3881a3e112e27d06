/** Elementwise operations and reductions against their formulas in float64. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { BINARY, LAYOUT, REDUCTION, UNARY } from '../src/binding/elementwise.js';
import { describeEachSet, distance, randomFloats } from './addon.js';
import { blank, check, count, erf, seed, sigmoid, sum, width } from './properties.js';

describeEachSet('the elementwise kernel', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('binary operations with every layout of their operands', () =>
    check(
      fc.property(
        fc.constantFrom(...(Object.keys(BINARY) as (keyof typeof BINARY)[])),
        fc.constantFrom(0, 1, 2, 3),
        fc.constantFrom(0, 1, 2, 3),
        count,
        count,
        seed,
        (name, la, lb, rows, columns, s) => {
          const lengths = [rows * columns, columns, rows, 1];
          const [a, b, y] = [
            randomFloats(lengths[la]!, s),
            randomFloats(lengths[lb]!, s + 1).map((value) => value || 1),
            blank(rows * columns),
          ];
          native.binary(BINARY[name], a, la, b, lb, y, rows, columns);
          const f = {
            add: (l: number, r: number) => l + r,
            subtract: (l: number, r: number) => l - r,
            multiply: (l: number, r: number) => l * r,
            divide: (l: number, r: number) => l / r,
            maximum: Math.max,
            minimum: Math.min,
            squaredDifference: (l: number, r: number) => (l - r) ** 2,
          }[name];
          const places: Record<number, (i: number) => number> = {
            [LAYOUT.full]: (i: number) => i,
            [LAYOUT.row]: (i: number) => i % columns,
            [LAYOUT.column]: (i: number) => Math.floor(i / columns),
          };
          const at = (values: Float32Array, layout: number, i: number) =>
            values[places[layout]?.(i) ?? 0]!;
          expect(
            distance(
              y,
              Array.from(y, (_, i) => f(at(a, la, i), at(b, lb, i))),
            ),
          ).toBeLessThan(2e-7);
          if (columns > 0 && rows > 0 && la === LAYOUT.full) {
            native.binaryScalar(BINARY[name], a, 0.7, y, a.length);
            expect(
              distance(
                y,
                Array.from(a, (l) => f(l, Math.fround(0.7))),
              ),
            ).toBeLessThan(2e-7);
          }
        },
      ),
    ));

  test('unary operations, at the edges too', () => {
    const plain: Record<keyof typeof UNARY, (x: number) => number> = {
      negate: (x) => -x,
      absolute: Math.abs,
      square: (x) => x * x,
      sqrt: Math.sqrt,
      rsqrt: (x) => 1 / Math.sqrt(x),
      reciprocal: (x) => 1 / x,
      exp: Math.exp,
      log: Math.log,
      tanh: Math.tanh,
      sigmoid,
      relu: (x) => (x < 0 ? 0 : x),
      step: (x) => (Number.isNaN(x) ? x : Number(x > 0)),
      erf: (x) => (Math.abs(x) > 10 ? Math.sign(x) : erf(x)),
    };
    const x = Float32Array.from([
      ...randomFloats(3000, 1, 12),
      ...randomFloats(1000, 2, 1e-3),
      ...randomFloats(500, 3, 80),
      0,
      1,
      -1,
      88.7,
      89,
      -87.4,
      -103,
      -110,
      1e-40,
      1e38,
      NaN,
      Infinity,
      -Infinity,
    ]);
    const y = blank(x.length);
    for (const name of Object.keys(UNARY) as (keyof typeof UNARY)[]) {
      native.unary(UNARY[name], x, y, x.length);
      const expected = Float32Array.from(x, plain[name]);
      let worst = 0;
      expected.forEach((value, i) => {
        if (!Number.isFinite(value) || Math.abs(value) < 1e-37)
          return expect(
            Math.abs(y[i]! - value) < 1e-37 ||
              Object.is(y[i], value) ||
              (value === Infinity && y[i]! > 3e38),
            `${name}(${x[i]}) = ${y[i]}`,
          ).toBe(true);
        worst = Math.max(worst, Math.abs(y[i]! - value) / Math.abs(value));
      });
      expect(worst, name).toBeLessThan(6e-7);
    }
  });

  test('clip, fill and reductions over the last axis', () =>
    check(
      fc.property(count, width, seed, (n, d, s) => {
        const [x, y, z] = [randomFloats(n * d, s), blank(n), blank(n * d)];
        const rows = Array.from({ length: n }, (_, r) =>
          Array.from(x.subarray(r * d, (r + 1) * d)),
        );
        const expected = {
          sum: (row: number[]) => sum(d, (i) => row[i]!),
          mean: (row: number[]) => sum(d, (i) => row[i]!) / d,
          maximum: (row: number[]) => Math.max(...row),
          sumOfSquares: (row: number[]) => sum(d, (i) => row[i]! ** 2),
        };
        for (const name of Object.keys(REDUCTION) as (keyof typeof REDUCTION)[]) {
          native.reduceColumns(REDUCTION[name], x, y, n, d);
          expect(distance(y, rows.map(expected[name])), name).toBeLessThan(5e-6);
        }
        native.clip(x, z, n * d, -0.25, 0.5);
        expect(z).toEqual(x.map((value) => Math.min(0.5, Math.max(-0.25, value))));
        native.fill(z, n * d, 3);
        expect(z.every((value) => value === 3)).toBe(true);
      }),
    ));
});
