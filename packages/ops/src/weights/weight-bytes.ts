/** Bytes of a matrix in each format. */
import type { WeightFormat } from './weight-format.js';

const PLAIN_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;
const NESTED_BLOCK = 256;

/** How a quantised weight's maxima are kept. */
export interface QuantizedSize {
  readonly format: WeightFormat;
  readonly blockSize?: number;
  readonly doubleQuantization?: boolean;
}

/**
 * Bytes of a matrix `[rows, columns]` in a format. nf4, fp4: ½ a weight and 4 (or 1 + 4/256) a
 * block; int4: ½ a weight and 5 a block; mxfp4: ½ a weight and 4 a block; int8: 1 a weight and 4 a
 * row.
 */
export function weightBytes(
  rows: number,
  columns: number,
  { format, blockSize = 64, doubleQuantization = false }: QuantizedSize,
): number {
  const elements = rows * columns;
  if (format === 'int8') return elements + 4 * rows;
  if (format === 'f32' || format === 'f16' || format === 'bf16')
    return elements * PLAIN_BYTES[format];
  const blocks = Math.ceil(elements / blockSize);
  return (
    Math.ceil(elements / 2) +
    (format === 'int4' ? blocks : 0) +
    (doubleQuantization ? blocks + 4 * Math.ceil(blocks / NESTED_BLOCK) + 4 * 256 : 4 * blocks)
  );
}
