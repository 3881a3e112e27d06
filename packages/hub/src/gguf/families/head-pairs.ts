/**
 * The rows of queries and keys. Hugging Face turns column i of a head with column i + E/2, so that
 * a head's rows are two halves; llama.cpp's `llama` turns neighbours: row (h, j, s) there is row
 * (h, s, j) here, s < 2.
 */

/** Rows as llama.cpp has them. @param heads of the tensor. */
export const toPairs = (values: Float32Array, heads: number, rows: number): Float32Array =>
  reorder(values, heads, rows, (half, j, s) => [2 * j + s, s * half + j]);

/** Rows as Hugging Face has them. */
export const fromPairs = (values: Float32Array, heads: number, rows: number): Float32Array =>
  reorder(values, heads, rows, (half, j, s) => [s * half + j, 2 * j + s]);

function reorder(
  values: Float32Array,
  heads: number,
  rows: number,
  places: (half: number, j: number, s: number) => readonly [to: number, from: number],
): Float32Array {
  const width = values.length / rows;
  const headSize = rows / heads;
  const out = new Float32Array(values.length);
  for (let head = 0; head < heads; head += 1) {
    for (let j = 0; j < headSize / 2; j += 1) {
      for (let s = 0; s < 2; s += 1) {
        const [to, from] = places(headSize / 2, j, s).map((row) => (head * headSize + row) * width);
        out.set(values.subarray(from, from! + width), to);
      }
    }
  }
  return out;
}
