/** Stored bytes → float32 values, exactly as IEEE 754 says. */
import { PeftError } from '@peft/errors';
import type { StoredDtype } from './tensor-source.js';

/**
 * @param bytes little-endian elements of type `dtype`; the result may share their memory when they are aligned F32.
 * @throws PEFT_TENSOR_DTYPE for I64, whose values float32 cannot hold.
 */
export function decodeFloat32(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  const aligned = (size: number) => (bytes.byteOffset % size === 0 ? bytes : bytes.slice());
  const view = <T>(size: number, Type: new (buffer: ArrayBufferLike, offset: number, length: number) => T): T => {
    const source = aligned(size);
    return new Type(source.buffer, source.byteOffset, source.byteLength / size);
  };
  switch (dtype) {
    case 'F32': return view(4, Float32Array);
    case 'F64': return Float32Array.from(view(8, Float64Array));
    case 'BF16': return decodeBfloat16(view(2, Uint16Array));
    case 'F16': return decodeFloat16(view(2, Uint16Array));
    case 'I32': return Float32Array.from(view(4, Int32Array));
    case 'I16': return Float32Array.from(view(2, Int16Array));
    case 'I8': return Float32Array.from(view(1, Int8Array));
    case 'U8': case 'BOOL': return Float32Array.from(bytes);
    default: throw new PeftError('PEFT_TENSOR_DTYPE', `a tensor of type ${dtype} cannot be read as float32.`, { hint: 'read it as integers' });
  }
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
    out[i] = (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
