/**
 * Stored bytes to numbers and back. Bytes are little-endian, as is every machine that Node supports
 * but one.
 */
import { PeftError } from '@peft/errors';
import {
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  type StoredDtype,
  type TensorSource,
} from '@peft/ops';

/**
 * What `readTensor` gives for each dtype; narrower floats widen to float32, which is exact.
 */
export interface ValuesOf {
  F64: Float64Array;
  F32: Float32Array;
  F16: Float32Array;
  BF16: Float32Array;
  F8_E4M3: Float32Array;
  F8_E5M2: Float32Array;
  F8_E8M0: Float32Array;
  I64: BigInt64Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U8: Uint8Array;
  /** 0 or 1. */
  BOOL: Uint8Array;
}

/** The typed array of a stored type. */
export type TensorValues = ValuesOf[StoredDtype];

/** A tensor in memory; a switch over `dtype` narrows `values`. */
export type ReadTensor = {
  [D in StoredDtype]: {
    readonly dtype: D;
    readonly shape: readonly number[];
    readonly values: ValuesOf[D];
  };
}[StoredDtype];

/** Reads a whole tensor, every value exact. */
export function readTensor(source: TensorSource): ReadTensor {
  return {
    dtype: source.dtype,
    shape: source.shape,
    values: decodeValues(source.dtype, source.read()),
  } as ReadTensor;
}

/**
 * Reads a whole tensor as float32. F32 and narrower floats, the integers up to 2²⁴ and booleans are exact;
 * F64 and larger integers round to the nearest.
 */
export function readFloat32(source: TensorSource): Float32Array {
  const { values } = readTensor(source);
  if (values instanceof Float32Array) return values;
  if (values instanceof BigInt64Array) return Float32Array.from(values, Number);
  return Float32Array.from(values);
}

/**
 * The values in stored bytes. Float32, float64 and integer arrays may share memory with `bytes`.
 */
export function decodeValues<D extends StoredDtype>(dtype: D, bytes: Uint8Array): ValuesOf[D] {
  return decoders[dtype](bytes);
}

const decoders: { [D in StoredDtype]: (bytes: Uint8Array) => ValuesOf[D] } = {
  F64: (bytes) => new Float64Array(...aligned(bytes, 8)),
  F32: (bytes) => new Float32Array(...aligned(bytes, 4)),
  F16: (bytes) => decodeFloat32(bytes, 'F16'),
  BF16: (bytes) => decodeFloat32(bytes, 'BF16'),
  F8_E4M3: (bytes) => decodeFloat32(bytes, 'F8_E4M3'),
  F8_E5M2: (bytes) => decodeFloat32(bytes, 'F8_E5M2'),
  F8_E8M0: (bytes) => decodeFloat32(bytes, 'F8_E8M0'),
  I64: (bytes) => new BigInt64Array(...aligned(bytes, 8)),
  I32: (bytes) => new Int32Array(...aligned(bytes, 4)),
  I16: (bytes) => new Int16Array(...aligned(bytes, 2)),
  I8: (bytes) => new Int8Array(...aligned(bytes, 1)),
  U8: (bytes) => new Uint8Array(...aligned(bytes, 1)),
  BOOL: (bytes) => bytes.map((byte) => (byte === 0 ? 0 : 1)),
};

/** Arguments of a typed array over `bytes`, copied where they are not aligned. */
function aligned(bytes: Uint8Array, size: number): [ArrayBufferLike, number, number] {
  const view = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return [view.buffer, view.byteOffset, view.byteLength / size];
}

/** Values that can be stored: raw bytes for any dtype, or an array of numbers. */
export type StorableValues =
  Float64Array | Float32Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array;

/**
 * The stored bytes of values: a Uint8Array counts as the bytes themselves; a Float32Array is
 * widened to F64 or rounded to the nearest even F16 or BF16; any other array must be that of the
 * dtype. May share memory with `values`.
 *
 * @throws PEFT_TENSOR_DTYPE the array's type does not go with the dtype.
 */
export function encodeValues(dtype: StoredDtype, values: StorableValues): Uint8Array {
  if (values instanceof Uint8Array) return values;
  if (values instanceof Float32Array) {
    if (dtype === 'F16') return bytesOf(encodeFloat16(values));
    if (dtype === 'BF16') return bytesOf(encodeBfloat16(values));
    if (dtype === 'F64') return bytesOf(Float64Array.from(values));
  }
  if (arrayDtypes.get(values.constructor) !== dtype)
    throw new PeftError(
      'PEFT_TENSOR_DTYPE',
      `hub: a ${values.constructor.name} cannot be stored as ${dtype}.`,
      {
        hint: 'Pass the array of that dtype, a Float32Array for any float dtype, or raw bytes as a Uint8Array.',
      },
    );
  return bytesOf(values);
}

const arrayDtypes = new Map<unknown, StoredDtype>([
  [Float64Array, 'F64'],
  [Float32Array, 'F32'],
  [BigInt64Array, 'I64'],
  [Int32Array, 'I32'],
  [Int16Array, 'I16'],
  [Int8Array, 'I8'],
]);

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
