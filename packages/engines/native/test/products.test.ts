/**
 * Products against sums in float64, on random small shapes with every format, tail and direction.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { describeEachSet, distance, randomCases, randomFloats } from './addon.js';

/** out[i, j] = Σ_k a(i, k)·b(k, j) */
function reference(
  m: number,
  n: number,
  k: number,
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i += 1)
    for (let j = 0; j < n; j += 1)
      for (let d = 0; d < k; d += 1) out[i * n + j]! += a(i, d) * b(d, j);
  return out;
}

const size = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 70 }));
const depth = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.constantFrom(64, 383, 384, 385, 769, 1000),
);
const seed = fc.integer({ min: 0, max: 1e6 });

/** Of sums in float32 of products below 1. */
const tolerance = (k: number) => 1e-5 * Math.max(1, Math.sqrt(k) / 4);

/** The operands as products take them: rounded to bf16, ties to even, where that is asked for and there. */
function operand(native: NativeBinding, bf16: boolean, values: Float32Array): Float32Array {
  if (!bf16 || !native.info().bf16) return values;
  const rounded = values.slice();
  const bits = new Uint32Array(rounded.buffer);
  for (const [i, word] of bits.entries()) bits[i] = (word + 0x7fff + ((word >>> 16) & 1)) & ~0xffff;
  return rounded;
}

describeEachSet('a product', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  const products = randomCases(150);
  test(`of two tensors equals the sum of products, transposed, batched and accumulated, ${products} times`, () => {
    fc.assert(
      fc.property(
        size,
        size,
        depth,
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        seed,
        (m, n, k, batch, ta, tb, accumulate, bf16, s) => {
          const a = randomFloats(2 * m * k, s);
          const b = randomFloats(3 * k * n, s + 1);
          const c = randomFloats(batch * m * n, s + 2);
          const before = c.slice();
          const batchA = Int32Array.from({ length: batch }, (_, i) => i % 2);
          const batchB = Int32Array.from({ length: batch }, (_, i) => (2 * i + 1) % 3);
          native.matmul(a, b, c, batch, m, n, k, ta, tb, batchA, batchB, accumulate, bf16);
          for (let i = 0; i < batch; i += 1) {
            const left = operand(native, bf16, a.subarray(batchA[i]! * m * k));
            const right = operand(native, bf16, b.subarray(batchB[i]! * k * n));
            const expected = reference(
              m,
              n,
              k,
              (r, d) => left[ta ? d * m + r : r * k + d]!,
              (d, j) => right[tb ? j * k + d : d * n + j]!,
            );
            if (accumulate)
              expected.forEach((value, j) => (expected[j] = value + before[i * m * n + j]!));
            expect(distance(c.subarray(i * m * n), expected)).toBeLessThan(tolerance(k));
          }
        },
      ),
      { numRuns: products, seed: 1 },
    );
  });

  test('of low-rank adapters is added to rows of theirs with the bits that each gives alone', () => {
    const [n, width, depth] = [40, 600, 801];
    const [y, x] = [randomFloats(n * width, 1), randomFloats(n * depth, 2)];
    const adapters = [
      { rank: 3, scale: 0.5, rows: [7, 0, 39] },
      { rank: 16, scale: -2, rows: Array.from({ length: 30 }, (_, i) => 8 + i) },
      { rank: 1, scale: 1, rows: [3] },
    ].map(({ rank, ...rest }, p) => ({
      ...rest,
      rank,
      a: randomFloats(rank * depth, 3 + p),
      b: randomFloats(width * rank, 6 + p),
    }));
    const expected = y.slice();
    for (const { rank, scale, rows, a, b } of adapters) {
      const own = Float32Array.from(
        rows.flatMap((row) => [...x.subarray(row * depth, (row + 1) * depth)]),
      );
      const narrow = new Float32Array(rows.length * rank);
      const sums = new Float32Array(rows.length * width);
      const multiply = (s: Float32Array, v: Float32Array, out: Float32Array, size: number) =>
        native.matmul(
          s,
          v,
          out,
          1,
          rows.length,
          out.length / rows.length,
          size,
          false,
          true,
          null,
          null,
          false,
          false,
        );
      multiply(own, a, narrow, depth);
      multiply(
        narrow.map((value) => value * scale),
        b,
        sums,
        rank,
      );
      rows.forEach((row, i) => {
        for (let j = 0; j < width; j += 1) expected[row * width + j]! += sums[i * width + j]!;
      });
    }
    let count = 0;
    for (const threads of [1, 2, 4]) {
      native.setThreads(threads);
      const out = new Float32Array(n * width);
      count = 0;
      native.addThinProducts(
        y,
        x,
        out,
        n,
        width,
        depth,
        Int32Array.from(adapters.flatMap(({ rows }) => rows)),
        Int32Array.from(adapters, ({ rows }) => (count += rows.length)),
        adapters.map(({ a }) => a),
        adapters.map(({ b }) => b),
        Int32Array.from(adapters, ({ rank }) => rank),
        Float64Array.from(adapters, ({ scale }) => scale),
      );
      expect(out, `${threads} threads`).toEqual(expected);
    }
  });

  test('of 1 to 70 rows equals the sum of products at widths and depths around those of tiles', () => {
    const most = 70;
    for (const n of [1, 15, 17, 33, 65])
      for (const k of [1, 31, 33, 65, 801]) {
        const [a, b] = [randomFloats(most * k, n + k), randomFloats(k * n, n * k)];
        for (const bf16 of [false, true]) {
          const [left, right] = [a, b].map((values) => operand(native, bf16, values));
          const expected = reference(
            most,
            n,
            k,
            (i, d) => left![i * k + d]!,
            (d, j) => right![d * n + j]!,
          );
          for (let m = 1; m <= most; m += 1) {
            const c = new Float32Array(m * n).fill(NaN);
            native.matmul(a, b, c, 1, m, n, k, false, false, null, null, false, bf16);
            const worst = distance(c, expected.subarray(0, m * n));
            expect(worst, `${m} × ${n} × ${k}, bf16: ${bf16}`).toBeLessThan(tolerance(k));
          }
        }
      }
  });

  const maps = randomCases(200);
  test(`of the activations with a frozen weight equals the product with the dequantised weight, both ways, ${maps} times`, () => {
    const formats = fc.constantFrom('f32', 'f16', 'bf16', 'int8', 'nf4', 'fp4') as fc.Arbitrary<
      'f32' | 'f16' | 'bf16' | 'int8' | 'nf4' | 'fp4'
    >;
    fc.assert(
      fc.property(
        size,
        size,
        depth,
        formats,
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(32, 64, 256),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 0, max: 8 }),
        seed,
        (n, rows, columns, format, transposed, double, blockSize, bf16, withBias, kind, s) => {
          const stored = transposed && format !== 'int8';
          const source = native.weightFromBytes(
            new Uint8Array(randomFloats(rows * columns, s).buffer),
            'f32',
            rows,
            columns,
            stored,
          );
          const weight = native.weightConvert(source, format, blockSize, double);
          const w = new Float32Array(rows * columns);
          native.weightDequantize(weight, w);
          const x = randomFloats(n * columns, s + 1);
          const dy = randomFloats(n * rows, s + 2);
          const bias = withBias ? randomFloats(rows, s + 3) : null;
          const y = new Float32Array(n * rows).fill(NaN);
          const dx = new Float32Array(n * columns).fill(NaN);
          native.linear(weight, x, bias, y, n, bf16);
          native.linearInputGradient(weight, dy, dx, n, bf16);
          for (const sums of [new Float32Array(n * rows).fill(NaN), null]) {
            const [activated, separate] = [
              new Float32Array(n * rows).fill(NaN),
              new Float32Array(n * rows),
            ];
            native.linearActivated(weight, x, bias, kind, activated, sums, n, bf16);
            native.activation(kind, y, separate, separate.length);
            expect(activated).toEqual(separate); // to the last bit
            if (sums) expect(sums).toEqual(y);
          }
          const [ownX, ownDy, ownW] = [x, dy, w].map((values) => operand(native, bf16, values));
          const expected = reference(
            n,
            rows,
            columns,
            (i, k) => ownX![i * columns + k]!,
            (k, j) => ownW![j * columns + k]!,
          );
          expected.forEach((value, i) => (expected[i] = value + (bias?.[i % rows] ?? 0)));
          expect(distance(y, expected)).toBeLessThan(tolerance(columns));
          expect(
            distance(
              dx,
              reference(
                n,
                columns,
                rows,
                (i, k) => ownDy![i * rows + k]!,
                (k, j) => ownW![k * columns + j]!,
              ),
            ),
          ).toBeLessThan(tolerance(rows));
          native.weightFree(source);
          native.weightFree(weight);
        },
      ),
      { numRuns: maps, seed: 2 },
    );
  });

  test('does not depend on the number of threads, to the last bit', () => {
    const [n, rows, columns] = [150, 300, 800];
    const weight = native.weightFromBytes(
      new Uint8Array(randomFloats(rows * columns, 1).buffer),
      'f32',
      rows,
      columns,
      false,
    );
    const quantised = native.weightConvert(weight, 'nf4', 64, false);
    const outputs = [1, 2, 3, 7].map((threads) => {
      native.setThreads(threads);
      const y = new Float32Array(n * rows);
      const dx = new Float32Array(n * columns);
      native.linear(quantised, randomFloats(n * columns, 2), null, y, n, true);
      native.linearInputGradient(quantised, randomFloats(n * rows, 3), dx, n, true);
      return [y, dx];
    });
    native.setThreads(0);
    for (const output of outputs) expect(output).toEqual(outputs[0]);
    for (const handle of [weight, quantised]) native.weightFree(handle);
  });

  test('over large shapes is right in spots, with blocks that straddle rows', () => {
    for (const [n, rows, columns] of [
      [1030, 70, 900],
      [70, 1100, 833],
    ] as const)
      checkSpots(native, n, rows, columns);
  });
});

function checkSpots(native: NativeBinding, n: number, rows: number, columns: number): void {
  const source = native.weightFromBytes(
    new Uint8Array(randomFloats(rows * columns, 4).buffer),
    'f32',
    rows,
    columns,
    false,
  );
  const weight = native.weightConvert(source, 'nf4', 64, true);
  const w = new Float32Array(rows * columns);
  native.weightDequantize(weight, w);
  const x = randomFloats(n * columns, 5);
  const y = new Float32Array(n * rows);
  native.linear(weight, x, null, y, n, false);
  for (let spot = 0; spot < 200; spot += 1) {
    const [i, j] = [(spot * 7919) % n, (spot * 104729) % rows];
    let sum = 0;
    for (let k = 0; k < columns; k += 1) sum += x[i * columns + k]! * w[j * columns + k]!;
    expect(Math.abs(y[i * rows + j]! - sum)).toBeLessThan(1e-4);
  }
  native.weightFree(source);
  native.weightFree(weight);
}
