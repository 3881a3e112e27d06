/** Unsigned numbers of a few bits, one behind the other in 32-bit words from the lowest bit on. */

/**
 * Number `index` of `bits` bits each; it may lie in two words.
 *
 * @param start of its line of words, each `stride` behind the one before
 */
export function bitField(
  words: Uint32Array,
  bits: number,
  index: number,
  start = 0,
  stride = 1,
): number {
  const place = index * bits;
  const shift = place & 31;
  const word = start + (place >>> 5) * stride;
  const low = words[word]! >>> shift;
  const high = shift + bits > 32 ? words[word + stride]! << (32 - shift) : 0;
  return (low | high) & ((1 << bits) - 1);
}

/** Words that so many numbers take. */
export const wordsOf = (count: number, bits: number): number => Math.ceil((count * bits) / 32);

/** Stored bytes as words, copied where they are not aligned. */
export function asWords(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
