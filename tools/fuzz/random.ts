/** Random numbers that a seed repeats exactly, on every machine. */

/** Whole numbers below a bound. */
export type Random = (bound: number) => number;

/** Mulberry32. @param seed any integer; neighbours give unlike streams. */
export function seededRandom(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/** One of the values. */
export const pick = <T>(random: Random, values: readonly T[]): T => values[random(values.length)]!;
