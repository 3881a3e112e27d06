/**
 * Weights in blocks of 32 along a row, each with a scale s: a code c stands for s·(c − zero), with
 * zero = 8 of 4 bits, 128 of 8 bits.
 *
 *   4 bits  s = m/−8, m the value of the largest magnitude (as llama.cpp's Q4_0)
 *   8 bits  s = max|x|/127
 */
import { decodeFloat32, encodeFloat16 } from '@peft/ops';
import { bytesOf, type FloatType } from '../graph/onnx-graph.js';

export const BLOCK_SIZE = 32;

export type Bits = 4 | 8;

export interface BlockForm {
  /** Of a row of weights. */
  readonly columns: number;
  readonly bits: Bits;
  /** What the scales are stored in. */
  readonly scaleType: FloatType;
}

/** Blocks of a row; the last one is filled up with zeros. */
export const blocksOf = (columns: number): number => Math.ceil(columns / BLOCK_SIZE);

/**
 * Codes `[rows, blocks, bytes]`; of 4 bits the even element is in the low half of a byte.
 * @param values `[rows, columns]`.
 */
export function blockCodes(values: Float32Array, form: BlockForm): Uint8Array {
  const { columns, bits } = form;
  const blocks = blocksOf(columns);
  const zero = 2 ** (bits - 1);
  const scales = blockScales(values, form);
  const codes = new Uint8Array(scales.length * BLOCK_SIZE).fill(zero);
  for (let row = 0; row < values.length / columns; row += 1)
    for (let column = 0; column < columns; column += 1) {
      const block = row * blocks + Math.floor(column / BLOCK_SIZE);
      const scale = scales[block]!;
      if (scale === 0) continue;
      const code = Math.round(values[row * columns + column]! / scale) + zero;
      codes[block * BLOCK_SIZE + (column % BLOCK_SIZE)] = Math.min(Math.max(code, 0), 2 * zero - 1);
    }
  return bits === 8 ? codes : inHalves(codes);
}

/** Scales `[rows, blocks]`, rounded to the type that they are stored in. */
export function blockScales(
  values: Float32Array,
  { columns, bits, scaleType }: BlockForm,
): Float32Array {
  const blocks = blocksOf(columns);
  const largest = new Float32Array((values.length / columns) * blocks);
  values.forEach((value, n) => {
    const block = Math.floor(n / columns) * blocks + Math.floor((n % columns) / BLOCK_SIZE);
    if (Math.abs(value) > Math.abs(largest[block]!)) largest[block] = value;
  });
  const scales = largest.map((value) => (bits === 4 ? value / -8 : Math.abs(value) / 127));
  return scaleType === 'float16' ? decodeFloat32(bytesOf(encodeFloat16(scales)), 'F16') : scales;
}

/** Two codes a byte. */
const inHalves = (codes: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: codes.length / 2 }, (_, i) => codes[2 * i]! | (codes[2 * i + 1]! << 4));
