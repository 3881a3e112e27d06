/**
 * Two factors of a number, the smaller first: `factor` and its partner where it divides, else the
 * most balanced pair whose smaller factor does not exceed it. −1 means no limit.
 */
export function factorization(dimension: number, factor: number): readonly [number, number] {
  if (factor > 0 && dimension % factor === 0) return sorted(factor, dimension / factor);
  const limit = factor === -1 ? dimension : factor;
  let smaller = 1;
  for (let candidate = 2; candidate * candidate <= dimension && candidate <= limit; candidate += 1)
    if (dimension % candidate === 0) smaller = candidate;
  return sorted(smaller, dimension / smaller);
}

const sorted = (a: number, b: number): readonly [number, number] => (a <= b ? [a, b] : [b, a]);
