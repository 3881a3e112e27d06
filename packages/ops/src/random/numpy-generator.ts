/**
 * What NumPy's `default_rng(seed)` draws: PCG64 (O'Neill 2014, "PCG: A Family of Simple Fast
 * Space-Efficient Statistically Good Algorithms for Random Number Generation") seeded through
 * NumPy's `SeedSequence`, whole numbers below a bound by Lemire's method (Lemire 2019, "Fast Random
 * Integer Generation in an Interval") or by masks, shuffles and samples made of them.
 */

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** A generator of NumPy's. */
export interface NumpyGenerator {
  /** Shuffles in place, as `shuffle` does a one-dimensional array. */
  shuffle(values: Int32Array): void;
  /** `count` different numbers below `length`, as `choice(length, size=count, replace=False)`. */
  sample(length: number, count: number): Int32Array;
}

/** @param seed from 0 to 2³² − 1 */
export function numpyGenerator(seed: number): NumpyGenerator {
  const next32 = words32(pcg64(seed));
  const below = (last: number): number => bounded(next32, last);
  /** From the end to `first`, each with one at or in front of it. */
  const shuffleFrom = (values: Int32Array, first: number, draw = below): void => {
    for (let i = values.length - 1; i >= first; i -= 1) {
      const j = draw(i);
      [values[i], values[j]] = [values[j]!, values[i]!];
    }
  };
  return {
    shuffle: (values) => shuffleFrom(values, 1, (last) => masked(next32, last)),
    sample(length, count) {
      if (length > 10000 && count > Math.floor(length / 50)) {
        const all = Int32Array.from({ length }, (_, i) => i);
        shuffleFrom(all, Math.max(length - count, 1));
        return all.slice(length - count);
      }
      // Floyd's algorithm
      const chosen = new Set<number>();
      const out = Int32Array.from({ length: count }, (_, i) => {
        const last = length - count + i;
        const drawn = below(last);
        const taken = chosen.has(drawn) ? last : drawn;
        chosen.add(taken);
        return taken;
      });
      shuffleFrom(out, 1);
      return out;
    },
  };
}

/** 32 bits at a time, the low half first. */
function words32(next64: () => bigint): () => number {
  let kept: number | undefined;
  return () => {
    if (kept !== undefined) {
      const high = kept;
      kept = undefined;
      return high;
    }
    const both = next64();
    kept = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  };
}

/** From 0 to `last`, by Lemire's method. */
function bounded(next32: () => number, last: number): number {
  if (last === 0) return 0;
  const size = BigInt(last + 1);
  const threshold = (0xffffffffn - BigInt(last)) % size;
  for (;;) {
    const product = BigInt(next32()) * size;
    if ((product & 0xffffffffn) >= threshold) return Number(product >> 32n);
  }
}

/** From 0 to `last`, the first of as many bits as that has which is not above it. */
function masked(next32: () => number, last: number): number {
  if (last === 0) return 0;
  const mask = 0xffffffff >>> Math.clz32(last);
  for (;;) {
    const value = (next32() & mask) >>> 0;
    if (value <= last) return value;
  }
}

/** The 64-bit numbers of PCG64 (XSL-RR). */
function pcg64(seed: number): () => bigint {
  const [a, b, c, d] = seedWords(seed) as [bigint, bigint, bigint, bigint];
  const increment = ((((c << 64n) | d) << 1n) | 1n) & MASK_128;
  let state = (increment + ((a << 64n) | b)) & MASK_128;
  const step = (): void => {
    state = (state * MULTIPLIER + increment) & MASK_128;
  };
  step();
  return () => {
    step();
    const folded = ((state >> 64n) ^ state) & MASK_64;
    const turns = state >> 122n;
    return ((folded >> turns) | (folded << ((64n - turns) & 63n))) & MASK_64;
  };
}

/** `SeedSequence(seed).generate_state(4, uint64)`. */
function seedWords(seed: number): bigint[] {
  const hashed = hasher(0x43b0d7e5, 0x931e8875);
  const pool = [seed >>> 0, 0, 0, 0].map((word) => hashed(word));
  for (let from = 0; from < 4; from += 1)
    for (let to = 0; to < 4; to += 1)
      if (from !== to) pool[to] = mix(pool[to]!, hashed(pool[from]!));
  const output = hasher(0x8b51f9dd, 0x58f38ded);
  const words = Array.from({ length: 8 }, (_, i) => BigInt(output(pool[i % 4]!)));
  return [0, 2, 4, 6].map((i) => words[i]! | (words[i + 1]! << 32n));
}

function hasher(start: number, factor: number): (word: number) => number {
  let constant = start;
  return (word) => {
    let value = word ^ constant;
    constant = Math.imul(constant, factor);
    value = Math.imul(value, constant);
    return (value ^ (value >>> 16)) >>> 0;
  };
}

function mix(x: number, y: number): number {
  const value = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
  return (value ^ (value >>> 16)) >>> 0;
}
