/** A store of random weights for any description: for benchmarks and tests of real shapes without a checkpoint. */
import { encodeBfloat16, randomKey, randomNormal, type TensorSource } from '@peft/ops';
import type { ModelDescription } from './model-description.js';
import type { WeightStore } from './weights.js';

/**
 * Every parameter of the description: norms' weights 1, one-dimensional others 0, the rest N(0, standardDeviation²), made when read and never kept.
 * @param options.dtype stored type, default `F32`.
 */
export function randomWeights(description: ModelDescription, options: { readonly seed?: number; readonly dtype?: 'F32' | 'BF16'; readonly standardDeviation?: number } = {}): WeightStore {
  const { seed = 0, dtype = 'F32', standardDeviation = 0.02 } = options;
  const specs = new Map(description.parameters.map((spec) => [spec.name, spec]));
  // A table of normal numbers, read from a place that depends on the name: 8 billion logarithms would take minutes.
  const table = Float32Array.from({ length: 65537 }, (_, i) => standardDeviation * randomNormal(randomKey(seed, 'random-weights'), i));
  const source = (name: string): TensorSource | undefined => {
    const spec = specs.get(name);
    if (!spec) return undefined;
    const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
    const size = shape.reduce((product, length) => product * length, 1);
    const byteLength = size * (dtype === 'F32' ? 4 : 2);
    const read = (offset = 0, length = byteLength - offset): Uint8Array => {
      const values = new Float32Array(size);
      if (spec.norm && name.endsWith('weight')) values.fill(1);
      else if (shape.length > 1) {
        const start = randomKey(seed, name)[0] % table.length;
        for (let i = 0; i < size; i += 1) values[i] = table[(start + i) % 65537]!;
      }
      const bytes = dtype === 'F32' ? values : encodeBfloat16(values);
      return new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length);
    };
    return { name, dtype, shape, byteLength, read };
  };
  return { names: () => specs.keys(), get: source };
}
