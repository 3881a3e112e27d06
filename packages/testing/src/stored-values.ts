/** The values that a weight has once it is stored in a format. */
import {
  decodeFloat32,
  dequantize4Bit,
  dequantizeInt8Rows,
  encodeBfloat16,
  encodeFloat16,
  expandAbsmax,
  nestAbsmax,
  quantize4Bit,
  quantizeInt8Rows,
  type ConvertibleFormat,
} from '@peft/ops';

/** What a format keeps of the values. */
export function storedValues(
  values: Float32Array,
  rows: number,
  format: ConvertibleFormat,
  blockSize = 64,
  nested = false,
): Float32Array {
  switch (format) {
    case 'f32':
      return values;
    case 'f16':
      return decodeFloat32(new Uint8Array(encodeFloat16(values).buffer), 'F16');
    case 'bf16':
      return decodeFloat32(new Uint8Array(encodeBfloat16(values).buffer), 'BF16');
    case 'int8': {
      const { packed, absmax } = quantizeInt8Rows(values, rows);
      return dequantizeInt8Rows(packed, absmax, values.length / rows, rows);
    }
    default: {
      const { packed, absmax } = quantize4Bit(values, format, blockSize);
      return dequantize4Bit(
        packed,
        nested ? expandAbsmax(nestAbsmax(absmax)) : absmax,
        format,
        blockSize,
        values.length,
      );
    }
  }
}
