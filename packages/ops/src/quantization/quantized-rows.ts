/** Values of a weight in any of the quantised formats. */
import type { QuantizedParts } from '../weights/engine.js';
import { dequantize4Bit } from './four-bit.js';
import { dequantizeInt8Rows } from './int8-rows.js';
import { expandAbsmax } from './nested-absmax.js';

/** Rows `first` … `first + count − 1` in float32, row-major. */
export function quantizedRows(parts: QuantizedParts, first: number, count: number): Float32Array {
  const { format, shape, packed, absmax, zeros, blockSize = 64 } = parts;
  const columns = shape[1]!;
  const scales = absmax instanceof Float32Array ? absmax : expandAbsmax(absmax);
  if (format === 'int8') return dequantizeInt8Rows(packed, scales, columns, count, first);
  return dequantize4Bit(packed, scales, format, blockSize, count * columns, first * columns, zeros);
}
