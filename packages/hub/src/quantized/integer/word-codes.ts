/** Codes whose number fills words of 32 bits whole: read a word at a time. */

/** Two four-bit codes a byte, the first one in its high half, from words with the first one lowest. */
export function swappedNibbles(words: Uint32Array): Uint8Array {
  const swapped = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i += 1)
    swapped[i] = ((words[i]! & 0x0f0f0f0f) << 4) | ((words[i]! >>> 4) & 0x0f0f0f0f);
  return new Uint8Array(swapped.buffer);
}

/** Rows of codes, each row's words behind each other. @param bits 1, 2, 4, 8 or 16 */
export function wordCodes(words: Uint32Array, bits: number): Uint8Array {
  const perWord = 32 / bits;
  const mask = (1 << bits) - 1;
  const codes = new Uint8Array(words.length * perWord);
  for (let i = 0; i < words.length; i += 1) {
    const [word, at] = [words[i]!, i * perWord];
    for (let n = 0; n < perWord; n += 1) codes[at + n] = (word >>> (n * bits)) & mask;
  }
  return codes;
}

/** Columns that are turned at a time, of 64 bytes a row. */
const BAND = 16;

/**
 * Columns `first` … `first + count − 1` of `[rows, columns]`, each behind the other.
 * @returns `[count, rows]`
 */
export function turnedWords(
  words: Uint32Array,
  rows: number,
  columns: number,
  first: number,
  count: number,
): Uint32Array {
  const out = new Uint32Array(count * rows);
  for (let band = 0; band < count; band += BAND) {
    const end = Math.min(band + BAND, count);
    for (let row = 0; row < rows; row += 1) {
      const from = row * columns + first;
      for (let column = band; column < end; column += 1)
        out[column * rows + row] = words[from + column]!;
    }
  }
  return out;
}
