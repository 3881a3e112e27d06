/** Parts as a quantised checkpoint has them. */
import { nestAbsmax, quantize4Bit, quantizeInt8Rows, type QuantizedParts } from '@peft/ops';

/** The values as a matrix of so many rows; `nested` quantises the maxima too. */
export function quantizedParts(
  values: Float32Array,
  rows: number,
  format: 'nf4' | 'fp4' | 'int8',
  blockSize: number,
  nested: boolean,
): QuantizedParts {
  const shape = [rows, values.length / rows];
  if (format === 'int8') return { name: 'w', format, shape, ...quantizeInt8Rows(values, rows) };
  const { packed, absmax } = quantize4Bit(values, format, blockSize);
  return {
    name: 'w',
    format,
    shape,
    packed,
    absmax: nested ? nestAbsmax(absmax) : absmax,
    blockSize,
  };
}
