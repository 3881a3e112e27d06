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

export interface Blocks {
  /** `[rows, blocks, bytes]`; of 4 bits the even element is in the low half of a byte. */
  readonly codes: Uint8Array;
  /** `[rows, blocks]`, rounded to the type that they are stored in. */
  readonly scales: Float32Array;
}

/** @param values `[rows, columns]`. */
export function blockCodes(values: Float32Array, form: BlockForm): Blocks {
  const { columns, bits } = form;
  const zero = 2 ** (bits - 1);
  const scales = blockScales(values, form);
  const codes = new Uint8Array(scales.length * BLOCK_SIZE).fill(zero);
  let block = 0;
  for (let start = 0; start < values.length; start += columns)
    for (let column = 0; column < columns; column += BLOCK_SIZE, block += 1) {
      const inverse = scales[block] === 0 ? 0 : 1 / scales[block]!;
      const end = start + Math.min(column + BLOCK_SIZE, columns);
      for (let n = start + column, at = block * BLOCK_SIZE; n < end; n += 1, at += 1) {
        // x/s is −zero … zero, so that cutting off rounds
        codes[at] = Math.min(Math.trunc(values[n]! * inverse + zero + 0.5), 2 * zero - 1);
      }
    }
  return { codes: bits === 8 ? codes : inHalves(codes), scales };
}

function blockScales(values: Float32Array, { columns, bits, scaleType }: BlockForm): Float32Array {
  const scales = new Float32Array((values.length / columns) * blocksOf(columns));
  let block = 0;
  for (let start = 0; start < values.length; start += columns)
    for (let column = 0; column < columns; column += BLOCK_SIZE, block += 1) {
      const end = start + Math.min(column + BLOCK_SIZE, columns);
      let [largest, size] = [0, 0];
      for (let n = start + column; n < end; n += 1) {
        const value = values[n]!;
        const magnitude = value < 0 ? -value : value;
        if (magnitude > size) [largest, size] = [value, magnitude];
      }
      scales[block] = bits === 4 ? largest / -8 : size / 127;
    }
  return scaleType === 'float16' ? decodeFloat32(bytesOf(encodeFloat16(scales)), 'F16') : scales;
}

/** Two codes a byte. */
function inHalves(codes: Uint8Array): Uint8Array {
  const halves = new Uint8Array(codes.length / 2);
  for (let i = 0; i < halves.length; i += 1) halves[i] = codes[2 * i]! | (codes[2 * i + 1]! << 4);
  return halves;
}
