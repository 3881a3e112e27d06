/** Checkpoints in the forms of quantised models, packed from their published layouts. */
import { randomWeights, type ModelDescription, type WeightStore } from '@peft/core';
import {
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  type StoredDtype,
  type TensorSource,
} from '@peft/ops';

/** Stored tensors that stand for a weight, and the values that they stand for. */
export interface PackedWeight {
  readonly tensors: readonly TensorSource[];
  /** In the type that the form is read as. */
  readonly plain: TensorSource;
}

/** Packs the weight of a name `[rows, columns]`. */
export type Packer = (name: string, values: Float32Array, shape: readonly number[]) => PackedWeight;

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

export const bf16 = (name: string, shape: readonly number[], values: Float32Array): TensorSource =>
  bytesSource(name, 'BF16', shape, encodeBfloat16(values));

export const f16 = (name: string, shape: readonly number[], values: Float32Array): TensorSource =>
  bytesSource(name, 'F16', shape, encodeFloat16(values));

/**
 * Random values of every parameter under the names of a checkpoint: what is an entry of a stored
 * tensor stands in it.
 */
export function storedWeights(description: ModelDescription): WeightStore {
  const random = randomWeights(description, { standardDeviation: 0.2 });
  const sources = new Map<string, TensorSource>();
  const entries = new Map<string, TensorSource[]>();
  for (const { name, entry } of description.parameters) {
    const source = random.get(name)!;
    if (entry) entries.set(entry.of, [...(entries.get(entry.of) ?? []), source]);
    else sources.set(name, source);
  }
  for (const [name, parts] of entries) {
    const bytes = Buffer.concat(parts.map((part) => part.read()));
    sources.set(name, bytesSource(name, 'F32', [parts.length, ...parts[0]!.shape], bytes));
  }
  return storeOf(sources);
}

/** The checkpoint with some weights packed, and the one with the values that those stand for. */
export function packedCheckpoint(
  store: WeightStore,
  isPacked: (name: string) => boolean,
  pack: Packer,
): { readonly packed: WeightStore; readonly plain: WeightStore } {
  const packed = new Map<string, TensorSource>();
  const plain = new Map<string, TensorSource>();
  for (const name of store.names()) {
    const source = store.get(name)!;
    if (!isPacked(name)) {
      packed.set(name, source);
      plain.set(name, source);
      continue;
    }
    const weight = pack(name, decodeFloat32(source.read(), source.dtype), source.shape);
    for (const tensor of weight.tensors) packed.set(tensor.name, tensor);
    plain.set(name, weight.plain);
  }
  return { packed: storeOf(packed), plain: storeOf(plain) };
}

const storeOf = (sources: ReadonlyMap<string, TensorSource>): WeightStore => ({
  names: () => sources.keys(),
  get: (name) => sources.get(name),
});
