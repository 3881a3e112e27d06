/** What the property tests of the kernels share: sizes, seeds and plain formulas. */
import fc from 'fast-check';

/** Numbers of rows: small ones, and across the vectors' widths. */
export const count = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 90 }));
/** Widths of rows. */
export const width = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 90 }));
export const seed = fc.integer({ min: 0, max: 1e6 });
/** What an output holds before it is written. */
export const blank = (length: number) => new Float32Array(length).fill(NaN);
/** Σ f(i), i < length, in float64. */
export const sum = (length: number, f: (i: number) => number) =>
  Array.from({ length }, (_, i) => f(i)).reduce((total, x) => total + x, 0);
/** Runs a property on the same seeded cases every time. */
export const check = <T>(property: fc.IProperty<T>) =>
  fc.assert(property, { numRuns: 60, seed: 8 });

/** erf by its series, or the continued fraction of erfc for |x| > 3; both to 1e-14. */
export function erf(x: number): number {
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

export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
