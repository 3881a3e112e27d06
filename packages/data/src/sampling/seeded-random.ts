/**
 * A small random number generator whose state can be saved and restored: xoshiro128** (Blackman and
 * Vigna, "Scrambled Linear Pseudorandom Number Generators", arXiv 1805.01407), seeded by splitmix32
 * steps as its authors advise.
 */
import { PeftError, show } from '@peft/errors';

/** Four 32-bit words, not all 0. JSON-safe. */
export type RandomState = readonly [number, number, number, number];

/** What names a stream: a seed, or a seed with an epoch and a purpose. */
export type RandomSeed = number | readonly (number | string)[];

/** A stream of random numbers (xoshiro128**) that its seed or saved state determines. */
export interface SeededRandom {
  /** The next 32 bits, in [0, 2³²). */
  next(): number;
  /** Uniform in [0, 1), a multiple of 2⁻⁵³. */
  uniform(): number;
  /** Uniform among 0 … below − 1, without bias. `below` is a positive integer up to 2³². */
  integer(below: number): number;
  /** The state that `restoreRandom` resumes from. */
  save(): RandomState;
}

/** A generator of random numbers. @returns one that gives the same numbers for the same seed on every machine. */
export function seededRandom(seed: RandomSeed): SeededRandom {
  let word = 0;
  for (const part of typeof seed === 'number' ? [seed] : seed) {
    if (typeof part === 'number') {
      if (!Number.isSafeInteger(part))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `data: a seed must be an integer, got ${show(part)}.`,
        );
      word = mix(mix(word ^ (part | 0)) ^ Math.floor(part / 2 ** 32));
    } else {
      word = mix(word ^ (part.length | 0x40000000));
      for (let i = 0; i < part.length; i += 1) word = mix(word ^ part.charCodeAt(i));
    }
  }
  const wordOf = (i: number): number => mix((word + Math.imul(i, 0x9e3779b9)) | 0);
  return restoreRandom([wordOf(1), wordOf(2), wordOf(3), wordOf(4)]);
}

/**
 * The generator at a saved state.
 * @throws PEFT_RANDOM_STATE_INVALID if the state is not four 32-bit words, or all of them are 0.
 */
export function restoreRandom(state: RandomState): SeededRandom {
  if (
    state.length !== 4 ||
    state.some((each) => !Number.isInteger(each) || each < 0 || each > 0xffffffff) ||
    state.every((each) => each === 0)
  ) {
    throw new PeftError(
      'PEFT_RANDOM_STATE_INVALID',
      `data: a random state is four 32-bit words, not all 0, got ${show(state)}.`,
    );
  }
  let [a, b, c, d] = state.map((each) => each | 0) as [number, number, number, number];

  const next = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  return {
    next,
    uniform: () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) * 2 ** -53,
    integer(below) {
      if (!Number.isInteger(below) || below < 1 || below > 2 ** 32)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `data: integer(below) needs 1 … 2^32, got ${show(below)}.`,
        );
      const limit = 2 ** 32 - (2 ** 32 % below);
      for (;;) {
        const word = next();
        if (word < limit) return word % below;
      }
    },
    save: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** MurmurHash3's finaliser with a Weyl step in front, a bijection of 32-bit words (splitmix32). */
function mix(word: number): number {
  let h = (word + 0x9e3779b9) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
