/**
 * The rows of queries and keys. Hugging Face turns column i of a head with column i + E/2, so that
 * a head's rows are two halves; llama.cpp's `llama` turns neighbours: row (h, j, s) there is row
 * (h, s, j) here, s < 2.
 */

/** Values of whole rows, or the bytes of blocks that they are stored in. */
type Rows = Float32Array | Uint8Array;

/** Rows as llama.cpp has them. @param heads of the tensor. */
export const toPairs = <T extends Rows>(stored: T, heads: number, rows: number): T =>
  reorder(stored, heads, rows, (half, j, s) => [2 * j + s, s * half + j]);

/** Rows as Hugging Face has them. */
export const fromPairs = <T extends Rows>(stored: T, heads: number, rows: number): T =>
  reorder(stored, heads, rows, (half, j, s) => [s * half + j, 2 * j + s]);

function reorder<T extends Rows>(
  stored: T,
  heads: number,
  rows: number,
  places: (half: number, j: number, s: number) => readonly [to: number, from: number],
): T {
  const width = stored.length / rows;
  const headSize = rows / heads;
  const out = stored.slice() as T;
  for (let head = 0; head < heads; head += 1) {
    for (let j = 0; j < headSize / 2; j += 1) {
      for (let s = 0; s < 2; s += 1) {
        const [to, from] = places(headSize / 2, j, s).map((row) => (head * headSize + row) * width);
        out.set(stored.subarray(from, from! + width), to);
      }
    }
  }
  return out;
}
