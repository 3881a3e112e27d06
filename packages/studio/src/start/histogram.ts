/** How numbers are spread, in bars of equal width. */
import type { Histogram } from '../api-types.js';

const BARS = 24;

/** @param values at least one. @param isWhole bars then hold whole numbers, and none is empty by rounding. */
export function histogram(values: ArrayLike<number>, isWhole: boolean): Histogram {
  const all = Array.from(values);
  const [least, most] = all.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  ) as [number, number];
  const span = most - least;
  const width = isWhole ? Math.max(1, Math.ceil((span + 1) / BARS)) : span / BARS || 1;
  const count = isWhole ? Math.floor(span / width) + 1 : BARS;
  const counts = new Array<number>(count).fill(0);
  for (const value of all) counts[Math.min(count - 1, Math.floor((value - least) / width))]! += 1;
  return {
    bars: counts.map((rows, at) => ({
      from: least + at * width,
      to: least + (at + 1) * width - (isWhole ? 1 : 0),
      count: rows,
    })),
    least,
    most,
    mean: all.reduce((sum, value) => sum + value, 0) / all.length,
  };
}
