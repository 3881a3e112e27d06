/** Norms and their gradients against their formulas in float64. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { describeEachSet, distance, randomFloats } from './addon.js';
import { blank, check, count, seed, sum, width } from './properties.js';

describeEachSet('the norm', (native, set) => {
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
});
