/**
 * Tables of positions that are not trained (Vaswani et al. 2017, section 3.5): sines in the first
 * half of the columns, cosines in the second.
 */
import type { Initializer } from '@peft/core';

/** Angle t·10000^(−2i/D) of column i, as Pegasus and Marian have it. */
export const sinusoidalTable: Initializer = ([rows = 0, width = 0]) =>
  table(rows, width, (t, i) => t / 10_000 ** ((2 * i) / width), Math.ceil(width / 2));

/** Angle t·10000^(−i/(D/2 − 1)), as M2M100 has it; the row of padding is 0. */
export function fairseqTable(rows: number, width: number, paddingId: number): Float32Array {
  const half = Math.floor(width / 2);
  const step = Math.fround(Math.log(10_000) / (half - 1));
  const values = table(
    rows,
    width,
    (t, i) => Math.fround(t * Math.fround(Math.exp(Math.fround(-i * step)))),
    half,
  );
  if (paddingId < rows) values.fill(0, paddingId * width, (paddingId + 1) * width);
  return values;
}

function table(
  rows: number,
  width: number,
  angle: (t: number, i: number) => number,
  half: number,
): Float32Array {
  const values = new Float32Array(rows * width);
  for (let t = 0; t < rows; t += 1) {
    for (let i = 0; i < half; i += 1) {
      values[t * width + i] = Math.sin(angle(t, i));
      if (half + i < width) values[t * width + half + i] = Math.cos(angle(t, i));
    }
  }
  return values;
}
