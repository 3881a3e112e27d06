/**
 * Reads the golden cases' `.safetensors` files in tests. They are our own: nothing is checked (see
 * `@peft/hub` for files of others).
 */
import { readFileSync } from 'node:fs';
import { decodeFloat32, type StoredDtype, type TensorSource } from '@peft/ops';

/** A tensor of a golden case. */
export interface FixtureTensor extends TensorSource {
  /** All values as float32. */
  values(): Float32Array;
}

/** The file's tensors by name. */
export function fixtureTensors(path: string | URL): Map<string, FixtureTensor> {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: StoredDtype; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, FixtureTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [start, end] = entry.data_offsets.map((offset) => offset + 8 + headerLength) as [
      number,
      number,
    ];
    const read = (offset = 0, length = end - start - offset) =>
      Uint8Array.from(file.subarray(start + offset, start + offset + length));
    tensors.set(name, {
      name,
      dtype: entry.dtype,
      shape: entry.shape,
      byteLength: end - start,
      read,
      values: () => decodeFloat32(read(), entry.dtype),
    });
  }
  return tensors;
}
