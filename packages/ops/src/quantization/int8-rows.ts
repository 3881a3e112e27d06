/**
 * Row-wise int8 weights as bitsandbytes' LLM.int8() stores them: w_ri ≈ code_ri·absmax_r/127. The
 * weight is rounded to float16 first, as bitsandbytes does. (The product here keeps its inputs in
 * floating point, so nothing is split off for outliers.)
 */
import { decodeFloat32, encodeFloat16 } from '../weights/decode-float32.js';

/** A weight of signed bytes with one scale a row. */
export interface Int8Weight {
  /** Signed bytes, row-major. */
  readonly packed: Uint8Array;
  /** Largest magnitude of each row (`SCB`). */
  readonly absmax: Float32Array;
}

/** @param values row-major `[rows, columns]`. */
export function quantizeInt8Rows(values: Float32Array, rows: number): Int8Weight {
  const halves = decodeFloat32(new Uint8Array(encodeFloat16(values).buffer), 'F16');
  const columns = values.length / rows;
  const codes = new Int8Array(values.length);
  const absmax = new Float32Array(rows);
  for (let r = 0; r < rows; r += 1) {
    const start = r * columns;
    let largest = 0;
    for (let i = 0; i < columns; i += 1) largest = Math.max(largest, Math.abs(halves[start + i]!));
    absmax[r] = largest;
    const factor = largest > 0 ? Math.fround(127 / largest) : 0;
    for (let i = 0; i < columns; i += 1)
      codes[start + i] = roundHalfEven(Math.fround(halves[start + i]! * factor));
  }
  return { packed: new Uint8Array(codes.buffer), absmax };
}

/** Rows `firstRow` … `firstRow + rows − 1`, row-major. */
export function dequantizeInt8Rows(
  packed: Uint8Array,
  absmax: Float32Array,
  columns: number,
  rows: number,
  firstRow = 0,
): Float32Array {
  const codes = new Int8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  const values = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r += 1) {
    const scale = Math.fround(absmax[firstRow + r]! * Math.fround(1 / 127));
    for (let i = 0; i < columns; i += 1)
      values[r * columns + i] = codes[(firstRow + r) * columns + i]! * scale;
  }
  return values;
}

/**
 * float64 has no fraction bits left at 1.5·2⁵², so adding that rounds to the nearest integer, ties
 * to even.
 */
const roundHalfEven = (value: number): number => value + 0x18000000000000 - 0x18000000000000;
