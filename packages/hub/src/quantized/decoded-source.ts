/** A tensor that is computed from others as it is read. */
import type { TensorSource } from '@peft/ops';
import { checkSpan } from '../tensor-store.js';
import { encodeValues } from '../tensor-values.js';

/** Values that are decoded at a time, unless one entry has more. */
const CHUNK = 2 ** 20;

/** Entries of so many values that are decoded at a time. */
export const entriesAtATime = (values: number): number =>
  Math.max(1, Math.floor(CHUNK / Math.max(values, 1)));

export interface DecodedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Type that the values are rounded to. */
  readonly dtype: 'F16' | 'BF16' | 'F32';
  /**
   * Called once for each `read`.
   * @returns gives the values of entries `first` … `first + count − 1` along the first axis, or
   *   their stored bytes
   */
  open(): (first: number, count: number) => Float32Array | Uint8Array;
}

const BYTES = { F16: 2, BF16: 2, F32: 4 } as const;

/** Reading a part decodes the entries of the first axis that it lies in, and no others. */
export function decodedSource({ name, shape, dtype, open }: DecodedTensor): TensorSource {
  const [entries = 0, ...rest] = shape;
  const entryValues = rest.reduce((product, size) => product * size, 1);
  const entryBytes = entryValues * BYTES[dtype];
  const total = entries * entryBytes;
  const most = entriesAtATime(entryValues);
  return {
    name,
    dtype,
    shape,
    byteLength: total,
    read(start = 0, length = total - start) {
      checkSpan(name, start, length, total);
      const decode = open();
      const out = new Uint8Array(length);
      const end = start + length;
      const last = Math.ceil(end / Math.max(entryBytes, 1));
      for (let entry = Math.floor(start / Math.max(entryBytes, 1)); entry < last; entry += most) {
        const bytes = encodeValues(dtype, decode(entry, Math.min(most, last - entry)));
        const at = entry * entryBytes - start;
        const from = Math.max(0, -at);
        out.set(bytes.subarray(from, Math.min(bytes.length, end - entry * entryBytes)), at + from);
      }
      return out;
    },
  };
}
