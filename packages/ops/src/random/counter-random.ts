/**
 * Random numbers as a pure function of a key and a counter, so that recomputation, resuming and any
 * number of threads repeat them exactly. Two rounds of MurmurHash3's 32-bit finaliser (Appleby
 * 2011, public domain):
 *
 *   u(key, i) = ( mix( mix(i ⊕ key₀) + key₁ ) >>> 8 ) · 2⁻²⁴   in [0, 1)
 */

export type RandomKey = readonly [number, number];

/** MurmurHash3's finaliser, a bijection of 32-bit words. */
export function mix32(word: number): number {
  let h = word | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** The i-th uniform number of the stream `key`, in [0, 1), a multiple of 2⁻²⁴. */
export function randomUniform(key: RandomKey, i: number): number {
  return (mix32((mix32(i ^ key[0]) + key[1]) | 0) >>> 8) * 2 ** -24;
}

/**
 * The i-th standard normal number of the stream, by Box and Muller from the uniforms 2i and 2i+1.
 */
export function randomNormal(key: RandomKey, i: number): number {
  const u = 1 - randomUniform(key, 2 * i); // (0, 1]
  return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * randomUniform(key, 2 * i + 1));
}

/**
 * A key from whatever names the stream: numbers (seed, step …) and strings (a site's path …). Equal
 * parts give equal keys.
 */
export function randomKey(...parts: readonly (number | string)[]): RandomKey {
  let a = 0x9e3779b9;
  let b = 0x7f4a7c15;
  const absorb = (word: number) => {
    a = mix32(a ^ word);
    b = mix32((b + a + 0x6d2b79f5) | 0);
  };
  for (const part of parts) {
    if (typeof part === 'number') {
      absorb(part | 0);
      absorb(Math.floor(part / 4294967296) | 0);
    } else {
      absorb(part.length | 0x40000000);
      for (let i = 0; i < part.length; i += 1) absorb(part.charCodeAt(i));
    }
  }
  return [a, b];
}
