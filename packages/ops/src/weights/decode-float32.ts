/** Stored bytes → float32 values and back to 16 bits, exactly as IEEE 754 says. */
import { PeftError } from '@peft/errors';
import { FLOAT8_VALUES } from './float8-values.js';
import { STORED_BYTES, type StoredDtype } from './tensor-source.js';

/**
 * @param bytes little-endian elements of type `dtype`; the result may share their memory when they
 *   are aligned F32.
 * @throws PEFT_TENSOR_DTYPE for I64, whose values float32 cannot hold.
 * @throws PEFT_TENSOR_SIZE when the bytes are no whole number of elements.
 */
export function decodeFloat32(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  const size = STORED_BYTES[dtype];
  if (bytes.byteLength % size !== 0) {
    throw new PeftError(
      'PEFT_TENSOR_SIZE',
      `a tensor of type ${dtype} has ${bytes.byteLength} bytes, no multiple of ${size}.`,
      { hint: 'the file is probably cut short' },
    );
  }
  // `slice` of a Node Buffer would not copy.
  const source = bytes.byteOffset % size === 0 ? bytes : Uint8Array.from(bytes);
  const view = <T>(Type: new (buffer: ArrayBufferLike, offset: number, length: number) => T): T =>
    new Type(source.buffer, source.byteOffset, source.byteLength / size);
  switch (dtype) {
    case 'F32':
      return view(Float32Array);
    case 'F64':
      return new Float32Array(view(Float64Array));
    case 'BF16':
      return decodeBfloat16(view(Uint16Array));
    case 'F16':
      return decodeFloat16(view(Uint16Array));
    case 'F8_E4M3':
    case 'F8_E5M2':
    case 'F8_E8M0':
      return decodeFloat8(bytes, FLOAT8_VALUES[dtype]);
    case 'I32':
      return new Float32Array(view(Int32Array));
    case 'I16':
      return new Float32Array(view(Int16Array));
    case 'I8':
      return new Float32Array(view(Int8Array));
    case 'U8':
    case 'BOOL':
      return new Float32Array(bytes);
    default:
      throw new PeftError(
        'PEFT_TENSOR_DTYPE',
        `a tensor of type ${dtype} cannot be read as float32.`,
        { hint: 'read it as integers' },
      );
  }
}

function decodeFloat8(codes: Uint8Array, values: Float32Array): Float32Array {
  const out = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i += 1) out[i] = values[codes[i]!]!;
  return out;
}

/** bfloat16 is the upper half of a float32. */
function decodeBfloat16(words: Uint16Array): Float32Array {
  const out = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i += 1) out[i] = words[i]! << 16;
  return new Float32Array(out.buffer);
}

function decodeFloat16(words: Uint16Array): Float32Array {
  const out = new Float32Array(words.length);
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i]!;
    const exponent = (word >> 10) & 31;
    const fraction = word & 1023;
    const sign = word & 0x8000 ? -1 : 1;
    if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else out[i] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return out;
}

/** float32 → bfloat16 words, round to nearest even; NaN stays NaN. */
export function encodeBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i += 1) {
    const word = bits[i]!;
    out[i] =
      (word & 0x7fffffff) > 0x7f800000
        ? (word >>> 16) | 0x40
        : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

const FLOAT = new Float32Array(1);
const WORD = new Uint32Array(FLOAT.buffer);

/** float32 → float16 words, round to nearest even; beyond 65504 infinity; NaN stays NaN. */
export function encodeFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    FLOAT[0] = values[i]!;
    const word = WORD[0]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x47800000)
      out[i] = sign | 0x7c00; // ≥ 65536
    else if (magnitude >= 0x38800000)
      // normal: ≥ 2⁻¹⁴
      out[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    else out[i] = sign | roundHalfEven(Math.abs(FLOAT[0]) * 2 ** 24); // multiples of 2⁻²⁴
  }
  return out;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
