/** Stored tensors in memory, as a checkpoint gives them. */
import type { StoredDtype, TensorSource } from '@peft/ops';

export function bytesSource(
  name: string,
  dtype: StoredDtype,
  shape: readonly number[],
  data: ArrayBufferView,
): TensorSource {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {
    name,
    dtype,
    shape,
    byteLength: bytes.length,
    read: (offset = 0, length = bytes.length - offset) => bytes.slice(offset, offset + length),
  };
}

export const storeOfSources = (sources: readonly TensorSource[]) => ({
  names: () => sources.map(({ name }) => name),
  get: (name: string) => sources.find((source) => source.name === name),
});
