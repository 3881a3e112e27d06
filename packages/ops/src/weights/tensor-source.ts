/** Where the bytes of a stored tensor come from: a file's span, or memory. */
import type { Float8Dtype } from './float8-values.js';

/** The element types of safetensors that the toolkit reads. */
export type StoredDtype =
  'F64' | 'F32' | 'F16' | 'BF16' | Float8Dtype | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** Bytes of one element of each stored type. */
export const STORED_BYTES: Readonly<Record<StoredDtype, number>> = Object.freeze({
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
});

/** A stored tensor, not yet read. Little-endian, row-major. */
export interface TensorSource {
  /** The checkpoint's own name, for instance `bert.encoder.layer.0.attention.self.query.weight`. */
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /**
   * Where the bytes lie, when they lie in a file as they are: an engine may map them instead of
   * reading.
   */
  readonly file?: { readonly path: string; readonly byteOffset: number };
  /** Where its values are stored as blocks of a GGUF type, for engines that read those. */
  readonly blocks?: StoredBlocks;
  /**
   * Reads `byteLength` bytes from `byteOffset` within the tensor (default: all of it) into a fresh
   * array.
   */
  read(byteOffset?: number, byteLength?: number): Uint8Array;
}

/** The blocks of a tensor whose rows are whole blocks, in the order of its values. */
export interface StoredBlocks {
  /** For instance `Q4_K`. */
  readonly type: string;
  /** Reads some rows of the first axis into a fresh array; default: all of them. */
  read(firstRow?: number, rows?: number): Uint8Array;
}

/** A source over values in memory. */
export function memorySource(
  name: string,
  shape: readonly number[],
  values: Float32Array,
): TensorSource {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    dtype: 'F32',
    shape,
    byteLength: bytes.byteLength,
    read: (offset = 0, length = bytes.byteLength - offset) => bytes.slice(offset, offset + length),
  };
}
