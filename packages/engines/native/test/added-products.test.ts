/**
 * Products with a low-rank adapter beside the weight against the same products one after the other: the
 * same bits, on random shapes, formats and directions.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { describeEachSet, randomCases, randomFloats } from './addon.js';

const F32 = Float32Array;
const size = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 140 }));
const cases = randomCases(150);

describeEachSet('a product with an adapter beside it', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  const matmul = (
    a: Float32Array,
    b: Float32Array,
    [m, n, k]: readonly [number, number, number],
    [ta, tb]: readonly [boolean, boolean],
  ): Float32Array => {
    const c = new F32(m * n);
    native.matmul(a, b, c, 1, m, n, k, ta, tb, null, null, false, false);
    return c;
  };
  const times = (x: Float32Array, by: number) => x.map((value) => value * Math.fround(by));
  const plus = (x: Float32Array, y: Float32Array) => x.map((value, i) => value + y[i]!);

  test(`has the bits of the products one after the other, both ways, ${cases} times`, () => {
    fc.assert(
      fc.property(
        size,
        size,
        size,
        fc.constantFrom(0, 1, 3, 8, 16, 33, 383, 384, 385, 400),
        fc.constantFrom('f32', 'bf16', 'nf4'),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(1, -0.5, 2),
        fc.integer({ min: 0, max: 1e6 }),
        (n, rows, columns, rank, format, transposed, bf16, withBias, scale, s) => {
          const source = native.weightFromBytes(
            new Uint8Array(randomFloats(rows * columns, s).buffer),
            'f32',
            rows,
            columns,
            transposed,
          );
          const weight = native.weightConvert(source, format as 'nf4', 64, false);
          const [x, dy] = [randomFloats(n * columns, s + 1), randomFloats(n * rows, s + 2)];
          const [a, b] = [randomFloats(rank * columns, s + 3), randomFloats(rows * rank, s + 4)];
          const bias = withBias ? randomFloats(rows, s + 5) : null;
          const [y, narrow] = [new F32(n * rows).fill(NaN), new F32(n * rank).fill(NaN)];
          native.linearAdded(weight, x, bias, a, b, rank, scale, y, narrow, n, bf16);
          const base = new F32(n * rows);
          native.linear(weight, x, bias, base, n, bf16);
          const slim = times(matmul(x, a, [n, rank, columns], [false, true]), scale);
          expect(narrow).toEqual(slim);
          expect(y).toEqual(plus(base, matmul(slim, b, [n, rows, rank], [false, true])));

          const [dx, da, db] = [x, a, b].map(({ length }) => new F32(length).fill(NaN));
          const gradient = (wanted: readonly boolean[]) => {
            const [first, second, third] = wanted;
            native.linearAddedGradient(
              weight,
              dy,
              second ? x : null,
              third ? narrow : null,
              a,
              b,
              rank,
              scale,
              first ? dx! : null,
              second ? da! : null,
              third ? db! : null,
              n,
              bf16,
            );
          };
          const input = new F32(n * columns);
          native.linearInputGradient(weight, dy, input, n, bf16);
          const dslim = times(matmul(dy, b, [n, rank, rows], [false, false]), scale);
          const expected = [
            plus(input, matmul(dslim, a, [n, columns, rank], [false, false])),
            matmul(dslim, x, [rank, columns, n], [true, false]),
            matmul(dy, slim, [rows, rank, n], [true, false]),
          ];
          gradient([true, true, true]);
          expect([dx, da, db]).toEqual(expected);
          for (const i of [0, 1, 2]) {
            [dx, da, db][i]!.fill(NaN);
            gradient([0, 1, 2].map((other) => other === i));
          }
          expect([dx, da, db]).toEqual(expected);
          for (const handle of [source, weight]) native.weightFree(handle);
        },
      ),
      { numRuns: cases, seed: 5 },
    );
  });

  test('does not depend on threads, nor a row on the other rows, to the last bit', () => {
    const [most, rows, columns, rank] = [150, 300, 800, 16];
    const weight = native.weightFromBytes(
      new Uint8Array(randomFloats(rows * columns, 1).buffer),
      'f32',
      rows,
      columns,
      false,
    );
    const [x, dy] = [randomFloats(most * columns, 2), randomFloats(most * rows, 3)];
    const [a, b] = [randomFloats(rank * columns, 4), randomFloats(rows * rank, 5)];
    const bias = randomFloats(rows, 6);
    const run = (n: number) => {
      const [y, narrow, dx] = [new F32(n * rows), new F32(n * rank), new F32(n * columns)];
      const [da, db] = [new F32(a.length), new F32(b.length)];
      native.linearAdded(weight, x, bias, a, b, rank, 0.5, y, narrow, n, true);
      native.linearAddedGradient(weight, dy, x, narrow, a, b, rank, 0.5, dx, da, db, n, true);
      return { rows: [y, dx] as const, shared: [da, db] as const };
    };
    const whole = run(most);
    for (const threads of [1, 2, 3, 7]) {
      native.setThreads(threads);
      expect(run(most)).toEqual(whole);
      for (const n of [1, 2, 24, 25, 64, 65]) {
        const [y, dx] = run(n).rows;
        expect(y).toEqual(whole.rows[0].subarray(0, y.length));
        expect(dx).toEqual(whole.rows[1].subarray(0, dx.length));
      }
    }
    native.setThreads(0);
    native.weightFree(weight);
  });
});
