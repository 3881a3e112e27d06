/** Operations on rows and columns against their formulas in float64. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { randomUniform } from '@peft/ops';
import { describeEachSet, distance, randomFloats } from './addon.js';
import { blank, check, count, seed, sum, width } from './properties.js';

describeEachSet('the kernel of rows', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('rope turns pairs, and its inverse turns them back', () =>
    check(
      fc.property(
        count,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 5 }),
        fc.boolean(),
        seed,
        (n, heads, half, rest, interleaved, s) => {
          const size = 2 * half + rest;
          const x = randomFloats(n * heads * size, s);
          const angles = randomFloats(7 * half, s + 1, 3);
          const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];
          const positions = Int32Array.from({ length: n }, (_, i) => (i * 5) % 7);
          const [y, back] = [blank(x.length), blank(x.length)];
          native.rope(x, cos, sin, positions, y, n, heads, size, half, false, interleaved);
          native.rope(y, cos, sin, positions, back, n, heads, size, half, true, interleaved);
          const expected = Array.from(x, (value, at) => {
            const [i, row] = [at % size, positions[Math.floor(at / (heads * size))]! * half];
            if (i >= 2 * half) return value;
            const [angle, isSecond] = interleaved
              ? [row + Math.floor(i / 2), i % 2 === 1]
              : [row + (i % half), i >= half];
            const partner = x[at + (isSecond ? -1 : 1) * (interleaved ? 1 : half)]!;
            return value * cos[angle]! + (isSecond ? 1 : -1) * partner * sin[angle]!;
          });
          expect(distance(y, expected)).toBeLessThan(1e-6);
          expect(distance(back, x)).toBeLessThan(1e-6);
        },
      ),
    ));

  test('dropout keeps the elements that the counter says', () =>
    check(
      fc.property(count, seed, fc.constantFrom(0, 0.1, 0.5, 0.9), (n, s, rate) => {
        const x = randomFloats(n, s);
        const y = blank(n);
        native.dropout(x, y, n, rate, s, -s);
        expect(
          distance(
            y,
            Array.from(x, (value, i) =>
              randomUniform([s, -s], i) >= Math.fround(rate) ? value / (1 - rate) : 0,
            ),
          ),
        ).toBeLessThan(2e-7);
      }),
    ));

  test('scaling of columns with its gradient, sums over rows, gathering and scattering', () =>
    check(
      fc.property(count, width, seed, (n, d, s) => {
        const [x, scale, dy] = [
          randomFloats(n * d, s),
          randomFloats(d, s + 1),
          randomFloats(n * d, s + 2),
        ];
        const [y, dx, dscale, total] = [blank(n * d), blank(n * d), blank(d), blank(d)];
        native.scaleColumns(x, scale, y, n, d);
        native.scaleColumnsGradient(x, scale, dy, dx, dscale, n, d);
        native.sumRows(x, total, n, d);
        expect(
          distance(
            y,
            x.map((value, at) => value * scale[at % d]!),
          ),
        ).toBe(0);
        expect(
          distance(
            dx,
            dy.map((value, at) => value * scale[at % d]!),
          ),
        ).toBe(0);
        expect(
          distance(
            dscale,
            Array.from({ length: d }, (_, i) => sum(n, (r) => x[r * d + i]! * dy[r * d + i]!)),
          ),
        ).toBeLessThan(1e-5);
        expect(
          distance(
            total,
            Array.from({ length: d }, (_, i) => sum(n, (r) => x[r * d + i]!)),
          ),
        ).toBeLessThan(1e-5);
        const rows = Int32Array.from({ length: n === 0 ? 0 : n + 3 }, (_, i) => (i * 7) % n);
        const gathered = blank(rows.length * d);
        native.gatherRows(x, rows, gathered, n, d);
        expect(
          distance(
            gathered,
            Array.from(gathered, (_, at) => x[rows[Math.floor(at / d)]! * d + (at % d)]!),
          ),
        ).toBe(0);
        const scattered = blank((n + 1) * d);
        native.scatterAddRows(gathered, rows, scattered, n + 1, d);
        const expected = new Float32Array((n + 1) * d);
        rows.forEach((row, i) => {
          for (let c = 0; c < d; c += 1) expected[row * d + c]! += gathered[i * d + c]!;
        });
        expect(scattered).toEqual(expected);
      }),
    ));

  test('cross entropy with rows left out, and softmax, with their gradients', () =>
    check(
      fc.property(count, width, seed, fc.boolean(), (n, v, s, logarithm) => {
        const [x, dloss, dy] = [
          randomFloats(n * v, s, 30),
          randomFloats(n, s + 1),
          randomFloats(n * v, s + 2),
        ];
        const labels = Int32Array.from({ length: n }, (_, i) => (i % 3 === 2 ? -100 : (i * 5) % v));
        const [loss, lse, dx, y, back] = [
          blank(n),
          blank(n),
          blank(n * v),
          blank(n * v),
          blank(n * v),
        ];
        native.crossEntropy(x, labels, loss, lse, n, v);
        native.crossEntropyGradient(x, labels, lse, dloss, dx, n, v);
        native.softmax(x, y, n, v, logarithm);
        native.softmaxGradient(y, dy, back, n, v, logarithm);
        for (let r = 0; r < n; r += 1) {
          const row = Array.from(x.subarray(r * v, (r + 1) * v));
          const most = Math.max(...row);
          const total = most + Math.log(sum(v, (i) => Math.exp(row[i]! - most)));
          const p = row.map((value) => Math.exp(value - total));
          const kept = labels[r] === -100 ? 0 : 1;
          expect(Math.abs(lse[r]! - total)).toBeLessThan(1e-5);
          expect(Math.abs(loss[r]! - kept * (total - (row[labels[r]!] ?? 0)))).toBeLessThan(1e-5);
          expect(
            distance(
              dx.subarray(r * v),
              p.map((value, i) => kept * dloss[r]! * (value - (i === labels[r] ? 1 : 0))),
            ),
          ).toBeLessThan(1e-5);
          expect(
            distance(y.subarray(r * v), logarithm ? row.map((value) => value - total) : p),
          ).toBeLessThan(2e-6);
          const d = Array.from(dy.subarray(r * v, (r + 1) * v));
          const mean = logarithm ? sum(v, (i) => d[i]!) : sum(v, (i) => p[i]! * d[i]!);
          expect(
            distance(
              back.subarray(r * v),
              p.map((value, i) => (logarithm ? d[i]! - value * mean : value * (d[i]! - mean))),
            ),
          ).toBeLessThan(2e-5);
        }
      }),
    ));
});
