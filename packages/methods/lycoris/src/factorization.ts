/**
 * Two factors of a number: `factor` and its partner where it divides, in this order, whichever is the
 * smaller; else the most balanced pair whose smaller factor, which comes first, does not exceed it. −1
 * means no limit.
 */
export function factorization(dimension: number, factor: number): readonly [number, number] {
  if (factor > 0 && dimension % factor === 0) return [factor, dimension / factor];
  const limit = factor === -1 ? dimension : factor;
  let smaller = 1;
  for (let candidate = 2; candidate * candidate <= dimension && candidate <= limit; candidate += 1)
    if (dimension % candidate === 0) smaller = candidate;
  return [smaller, dimension / smaller];
}
