/** Parts as a quantised checkpoint has them. */
import {
  codeBook,
  nestAbsmax,
  quantize4Bit,
  quantizeInt8Rows,
  type QuantizedParts,
  type StoredOnlyFormat,
} from '@peft/ops';

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

/** Codes, scales and zero points of no particular weight, and the values that they stand for. */
export function codedParts(
  format: StoredOnlyFormat,
  rows: number,
  columns: number,
  blockSize: number,
): { readonly parts: QuantizedParts; readonly values: Float32Array } {
  const elements = rows * columns;
  const blocks = Math.ceil(elements / blockSize);
  const packed = Uint8Array.from(
    { length: Math.ceil(elements / 2) },
    (_, i) => (i * 37 + 11) & 255,
  );
  const absmax = Float32Array.from({ length: blocks }, (_, block) =>
    format === 'mxfp4' ? 2 ** ((block % 5) - 4) : 0.01 * (1 + (block % 7)),
  );
  const zeros =
    format === 'int4'
      ? Uint8Array.from({ length: blocks }, (_, block) => (block * 5) % 16)
      : undefined;
  const values = Float32Array.from({ length: elements }, (_, i) => {
    const block = Math.floor(i / blockSize);
    const code = i % 2 ? packed[i >> 1]! & 15 : packed[i >> 1]! >> 4;
    return (codeBook(format)[code]! - (zeros?.[block] ?? 0)) * absmax[block]!;
  });
  return {
    parts: { name: 'w', format, shape: [rows, columns], packed, absmax, blockSize, zeros },
    values,
  };
}
