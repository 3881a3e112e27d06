/**
 * Norms, activations, operations on rows, elementwise operations and the optimiser against their
 * formulas in float64.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { randomUniform, type ActivationName } from '@peft/ops';
import {
  ACTIVATION,
  BINARY,
  LAYOUT,
  REDUCTION,
  UNARY,
  type NativeBinding,
} from '../src/binding.js';
import { describeEachSet, distance, randomFloats } from './addon.js';

const count = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 90 }));
const width = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 90 }));
const seed = fc.integer({ min: 0, max: 1e6 });
const blank = (length: number) => new Float32Array(length).fill(NaN);
const sum = (length: number, f: (i: number) => number) =>
  Array.from({ length }, (_, i) => f(i)).reduce((total, x) => total + x, 0);
const check = <T>(property: fc.IProperty<T>) => fc.assert(property, { numRuns: 60, seed: 8 });

/** erf by its series, or the continued fraction of erfc for |x| > 3; both to 1e-14. */
function erf(x: number): number {
  const t = Math.abs(x);
  if (t < 3) {
    let term = t;
    let total = t;
    for (let n = 1; n < 80; n += 1) {
      term *= (-t * t) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = t;
  for (let n = 60; n > 0; n -= 1) fraction = t + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-t * t) / (fraction * Math.sqrt(Math.PI)));
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const FUNCTIONS: Record<ActivationName, (x: number) => number> = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu_quick: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(x, 0),
  relu_squared: (x) => Math.max(x, 0) ** 2,
  silu: (x) => x * sigmoid(x),
  tanh: Math.tanh,
  sigmoid,
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
};
/** By central differences; inputs keep away from the kinks. */
const slope = (f: (x: number) => number, x: number) => (f(x + 1e-5) - f(x - 1e-5)) / 2e-5;
const kinds = Object.keys(ACTIVATION) as ActivationName[];

describeEachSet('the kernel', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));

  test('layer norm and its gradient', () =>
    check(
      fc.property(
        count,
        width,
        seed,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (n, d, s, needX, needGamma, needBeta) => {
          const [x, gamma, beta, dy] = [
            randomFloats(n * d, s, 3),
            randomFloats(d, s + 1),
            randomFloats(d, s + 2),
            randomFloats(n * d, s + 3),
          ];
          const [y, mean, inverse] = [blank(n * d), blank(n), blank(n)];
          const [dx, dgamma, dbeta] = [
            needX ? blank(n * d) : null,
            needGamma ? blank(d) : null,
            needBeta ? blank(d) : null,
          ];
          native.layerNorm(x, gamma, beta, y, mean, inverse, n, d, 1e-3);
          native.layerNormGradient(x, gamma, mean, inverse, dy, dx, dgamma, dbeta, n, d);
          const mu = Array.from({ length: n }, (_, r) => sum(d, (i) => x[r * d + i]!) / d);
          const inv = mu.map(
            (m, r) => 1 / Math.sqrt(sum(d, (i) => (x[r * d + i]! - m) ** 2) / d + 1e-3),
          );
          const hat = Array.from(
            x,
            (value, at) => (value - mu[Math.floor(at / d)]!) * inv[Math.floor(at / d)]!,
          );
          expect(
            distance(
              y,
              Array.from(hat, (value, at) => value * gamma[at % d]! + beta[at % d]!),
            ),
          ).toBeLessThan(5e-5);
          const e = (r: number, i: number) => dy[r * d + i]! * gamma[i]!;
          if (dgamma)
            expect(
              distance(
                dgamma,
                Array.from({ length: d }, (_, i) =>
                  sum(n, (r) => dy[r * d + i]! * hat[r * d + i]!),
                ),
              ),
            ).toBeLessThan(5e-5);
          if (dbeta)
            expect(
              distance(
                dbeta,
                Array.from({ length: d }, (_, i) => sum(n, (r) => dy[r * d + i]!)),
              ),
            ).toBeLessThan(2e-5);
          for (let r = 0; dx && r < n; r += 1) {
            const [a, b, scale] = [
              sum(d, (i) => e(r, i)) / d,
              sum(d, (i) => e(r, i) * hat[r * d + i]!) / d,
              inv[r]!,
            ];
            expect(
              distance(
                dx.subarray(r * d),
                Array.from({ length: d }, (_, i) => scale * (e(r, i) - a - hat[r * d + i]! * b)),
              ),
            ).toBeLessThan(2e-4);
          }
        },
      ),
    ));

  test('RMS norm and its gradient', () =>
    check(
      fc.property(count, width, seed, fc.constantFrom(0, 1), (n, d, s, offset) => {
        const [x, gamma, dy] = [
          randomFloats(n * d, s, 3),
          randomFloats(d, s + 1),
          randomFloats(n * d, s + 3),
        ];
        const [y, inverse, dx, dgamma] = [blank(n * d), blank(n), blank(n * d), blank(d)];
        native.rmsNorm(x, gamma, y, inverse, n, d, 1e-3, offset);
        native.rmsNormGradient(x, gamma, inverse, dy, dx, dgamma, n, d, offset);
        const inv = Array.from(
          { length: n },
          (_, r) => 1 / Math.sqrt(sum(d, (i) => x[r * d + i]! ** 2) / d + 1e-3),
        );
        const g = (i: number) => gamma[i]! + offset;
        expect(
          distance(
            y,
            Array.from(x, (value, at) => value * inv[Math.floor(at / d)]! * g(at % d)),
          ),
        ).toBeLessThan(2e-5);
        expect(
          distance(
            dgamma,
            Array.from({ length: d }, (_, i) =>
              sum(n, (r) => dy[r * d + i]! * x[r * d + i]! * inv[r]!),
            ),
          ),
        ).toBeLessThan(5e-5);
        for (let r = 0; r < n; r += 1) {
          const b = sum(d, (i) => dy[r * d + i]! * g(i) * x[r * d + i]! * inv[r]!) / d;
          expect(
            distance(
              dx.subarray(r * d),
              Array.from(
                { length: d },
                (_, i) => inv[r]! * (dy[r * d + i]! * g(i) - x[r * d + i]! * inv[r]! * b),
              ),
            ),
          ).toBeLessThan(1e-4);
        }
      }),
    ));

  test('each activation, plain and gated, with its gradient', () =>
    check(
      fc.property(fc.constantFrom(...kinds), count, seed, (kind, n, s) => {
        const x = randomFloats(n, s, 8).map((value) => (Math.abs(value) < 1e-3 ? 1 : value));
        const [up, dy] = [randomFloats(n, s + 1), randomFloats(n, s + 2)];
        const f = FUNCTIONS[kind];
        const [y, dx, gated, dgate, dup] = [blank(n), blank(n), blank(n), blank(n), blank(n)];
        native.activation(ACTIVATION[kind], x, y, n);
        native.activationGradient(ACTIVATION[kind], x, dy, dx, n);
        native.gatedActivation(ACTIVATION[kind], x, up, gated, n);
        native.gatedActivationGradient(ACTIVATION[kind], x, up, dy, dgate, dup, n);
        expect(distance(y, Array.from(x, f))).toBeLessThan(5e-7);
        expect(
          distance(
            dx,
            Array.from(x, (value, i) => dy[i]! * slope(f, value)),
          ),
        ).toBeLessThan(2e-6);
        expect(
          distance(
            gated,
            Array.from(x, (value, i) => f(value) * up[i]!),
          ),
        ).toBeLessThan(5e-7);
        expect(
          distance(
            dgate,
            Array.from(x, (value, i) => dy[i]! * up[i]! * slope(f, value)),
          ),
        ).toBeLessThan(2e-6);
        expect(
          distance(
            dup,
            Array.from(x, (value, i) => dy[i]! * f(value)),
          ),
        ).toBeLessThan(5e-7);
      }),
    ));

  test('rope turns pairs, and its inverse turns them back', () =>
    check(
      fc.property(
        count,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 5 }),
        seed,
        (n, heads, half, rest, s) => {
          const size = 2 * half + rest;
          const x = randomFloats(n * heads * size, s);
          const angles = randomFloats(7 * half, s + 1, 3);
          const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];
          const positions = Int32Array.from({ length: n }, (_, i) => (i * 5) % 7);
          const [y, back] = [blank(x.length), blank(x.length)];
          native.rope(x, cos, sin, positions, y, n, heads, size, half, false);
          native.rope(y, cos, sin, positions, back, n, heads, size, half, true);
          const expected = Array.from(x, (value, at) => {
            const [i, row] = [at % size, positions[Math.floor(at / (heads * size))]! * half];
            if (i < half) return value * cos[row + i]! - x[at + half]! * sin[row + i]!;
            return i < 2 * half
              ? value * cos[row + i - half]! + x[at - half]! * sin[row + i - half]!
              : value;
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
          const at = (values: Float32Array, layout: number, i: number) =>
            values[
              layout === LAYOUT.full
                ? i
                : layout === LAYOUT.row
                  ? i % columns
                  : layout === LAYOUT.column
                    ? Math.floor(i / columns)
                    : 0
            ]!;
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
      erf: (x) => (Number.isNaN(x) ? x : Math.abs(x) > 10 ? Math.sign(x) : erf(x)),
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

  test('transposition, row copies and casts move every element', () =>
    check(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        count,
        count,
        fc.integer({ min: 0, max: 9 }),
        seed,
        (b, n, m, d, s) => {
          const x = randomFloats(b * n * m, s);
          const y = blank(x.length);
          native.transpose(x, y, b, n, m);
          for (let i = 0; i < x.length; i += 1)
            if (y[Math.floor(i / (n * m)) * n * m + (i % m) * n + (Math.floor(i / m) % n)] !== x[i])
              expect.fail(`element ${i}`);
          const wide = randomFloats(b * n * m * d, s);
          const swapped = blank(wide.length);
          native.transpose0213(wide, swapped, b, n, m, d);
          for (let i = 0; i < wide.length; i += 1) {
            const [e, c, r, k] = [
              i % d,
              Math.floor(i / d) % m,
              Math.floor(i / (d * m)) % n,
              Math.floor(i / (d * m * n)),
            ];
            if (swapped[((k * m + c) * n + r) * d + e] !== wide[i]) expect.fail(`element ${i}`);
          }
          const target = new Float32Array(n * (m + 3) + 2);
          native.copyRows(x, 0, m, target, 2, m + 3, b > 0 ? n : 0, m);
          for (let r = 0; b > 0 && r < n; r += 1)
            expect(target.subarray(2 + r * (m + 3), 2 + r * (m + 3) + m)).toEqual(
              x.subarray(r * m, (r + 1) * m),
            );
          const whole = Int32Array.from(x, (value) => value * 1e9);
          native.castToFloat(whole, y, whole.length);
          expect(y).toEqual(Float32Array.from(whole));
          native.castToInt(
            x.map((value) => value * 100),
            whole,
            whole.length,
          );
          expect(whole).toEqual(Int32Array.from(x.map((value) => value * 100)));
        },
      ),
    ));

  test('AdamW follows torch for many tensors at once, and the norm is of all of them', () =>
    checkAdamW(native));
});

function checkAdamW(native: NativeBinding): void {
  const lengths = [0, 5, 33, 20000];
  const make = (offset: number, scale: number) =>
    lengths.map((length, i) => randomFloats(length, i + offset, scale));
  const [p, m] = [make(1, 1), make(2, 0)];
  const v = m.map((values) => values.slice());
  const state = p.map((values, i) => ({
    p: Float64Array.from(values),
    m: new Float64Array(lengths[i]!),
    v: new Float64Array(lengths[i]!),
  }));
  const [rates, decays] = [
    Float64Array.of(0.1, 0.01, 0.02, 0.03),
    Float64Array.of(0, 0.1, 0, 0.01),
  ];
  for (let step = 1; step <= 4; step += 1) {
    const g = make(10 * step, 2);
    expect(native.l2Norm(g)).toBeCloseTo(
      Math.sqrt(g.reduce((total, values) => total + values.reduce((s, x) => s + x * x, 0), 0)),
      6,
    );
    native.adamW(
      p,
      g,
      m,
      v,
      rates.map((rate) => rate / (1 - 0.9 ** step)),
      rates.map(() => Math.sqrt(1 - 0.99 ** step)),
      rates.map((rate, i) => 1 - rate * decays[i]!),
      0.9,
      0.99,
      1e-8,
      0.5,
    );
    state.forEach((t, i) =>
      t.p.forEach((value, j) => {
        const gradient = g[i]![j]! * 0.5;
        t.m[j] = 0.9 * t.m[j]! + 0.1 * gradient;
        t.v[j] = 0.99 * t.v[j]! + 0.01 * gradient ** 2;
        const denominator = Math.sqrt(t.v[j]) / Math.sqrt(1 - 0.99 ** step) + 1e-8;
        t.p[j] =
          value * (1 - rates[i]! * decays[i]!) -
          ((rates[i]! / (1 - 0.9 ** step)) * t.m[j]) / denominator;
      }),
    );
    state.forEach((t, i) => expect(distance(p[i]!, t.p)).toBeLessThan(1e-5));
  }
}
