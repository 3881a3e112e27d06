/** A store that knows the sizes of a model's tensors and holds none of their values. */
import { quantizableWeights, type ModelDescription, type WeightStore } from '@peft/core';
import type { StoredForm } from '@peft/hub';
import { STORED_BYTES, type TensorSource } from '@peft/ops';

/** Of which type an ordinary checkpoint's tensors are. */
export type PlannedDtype = 'F32' | 'F16' | 'BF16';

/**
 * @param stored what the linear maps become in memory, when they are quantised in the file.
 * Vectors are read as zeros; matrices are never read.
 */
export function sizesStore(
  description: ModelDescription,
  dtype: PlannedDtype,
  stored?: StoredForm,
): WeightStore {
  const specs = new Map(description.parameters.map((spec) => [spec.name, spec]));
  const quantized = stored
    ? quantizableWeights(description, stored.skipModules)
    : new Set<string>();
  const source = (name: string): TensorSource | undefined => {
    const spec = specs.get(name);
    if (!spec) return undefined;
    const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
    const type = stored?.format === 'bf16' && quantized.has(name) ? 'BF16' : dtype;
    const byteLength = shape.reduce((product, size) => product * size, STORED_BYTES[type]);
    return {
      name,
      dtype: type,
      shape,
      byteLength,
      read: (offset = 0, length = byteLength - offset) => new Uint8Array(length),
    };
  };
  return {
    names: () => specs.keys(),
    get: source,
    quantized: (name) => {
      const spec = quantized.has(name) ? specs.get(name) : undefined;
      if (!spec || !stored || stored.format === 'bf16') return undefined;
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
