/** A store that knows the sizes of a model's tensors and holds none of their values. */
import {
  quantizableWeights,
  type ModelDescription,
  type WeightQuantization,
  type WeightStore,
} from '@peft/core';
import { STORED_BYTES, type TensorSource } from '@peft/ops';

/** How a checkpoint's linear maps are stored, where they are quantised. */
export type StoredQuantization = WeightQuantization & { readonly format: 'nf4' | 'fp4' | 'int8' };

/** Of which type an ordinary checkpoint's tensors are. */
export type PlannedDtype = 'F32' | 'F16' | 'BF16';

/**
 * @param stored how the checkpoint has its linear maps, when they are quantised in the file.
 * Vectors are read as zeros; matrices are never read.
 */
export function sizesStore(
  description: ModelDescription,
  dtype: PlannedDtype,
  stored?: StoredQuantization,
): WeightStore {
  const specs = new Map(description.parameters.map((spec) => [spec.name, spec]));
  const packed = stored ? quantizableWeights(description, stored.skipModules) : new Set<string>();
  const source = (name: string): TensorSource | undefined => {
    const spec = specs.get(name);
    if (!spec) return undefined;
    const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
    const byteLength = shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
    return {
      name,
      dtype,
      shape,
      byteLength,
      read: (offset = 0, length = byteLength - offset) => new Uint8Array(length),
    };
  };
  return {
    names: () => specs.keys(),
    get: source,
    quantized: (name) => {
      const spec = packed.has(name) ? specs.get(name) : undefined;
      if (!spec || !stored) return undefined;
      const { format, blockSize = 64, doubleQuantization = false } = stored;
      const nothing = new Float32Array(0);
      const absmax = doubleQuantization
        ? {
            codes: new Uint8Array(0),
            map: nothing,
            nestedAbsmax: nothing,
            nestedBlockSize: 256,
            offset: 0,
          }
        : nothing;
      return {
        name,
        format,
        shape: spec.shape as [number, number],
        byteLength: 0,
        read: () => ({
          name,
          format,
          shape: spec.shape,
          packed: new Uint8Array(0),
          absmax,
          blockSize,
        }),
      };
    },
  };
}
