/**
 * A store of random weights for any description: for benchmarks and tests of real shapes without a
 * checkpoint.
 */
import { encodeBfloat16, randomKey, randomNormal, type TensorSource } from '@peft/ops';
import type { ModelDescription } from '../../description/model-description.js';
import type { WeightStore } from './weight-store.js';

/**
 * Every parameter of the description: norms' weights 1, one-dimensional others 0, the rest N(0,
 * standardDeviation²), made when read and never kept.
 * @param options.dtype stored type, default `F32`.
 */
export function randomWeights(
  description: ModelDescription,
  options: {
    readonly seed?: number;
    readonly dtype?: 'F32' | 'BF16';
    readonly standardDeviation?: number;
  } = {},
): WeightStore {
  const { seed = 0, dtype = 'F32', standardDeviation = 0.02 } = options;
  const specs = new Map(description.parameters.map((spec) => [spec.name, spec]));
  // A table of normal numbers, read from a place that depends on the name: 8 billion logarithms
  // would take minutes.
  const table = stored(
    Float32Array.from(
      { length: TABLE_LENGTH },
      (_, i) => standardDeviation * randomNormal(randomKey(seed, 'random-weights'), i),
    ),
    dtype,
  );
  const ones = stored(new Float32Array(TABLE_LENGTH).fill(1), dtype);
  const source = (name: string): TensorSource | undefined => {
    const spec = specs.get(name);
    if (!spec) return undefined;
    const shape = spec.transposed ? [...spec.shape].reverse() : spec.shape;
    const elementBytes = dtype === 'F32' ? 4 : 2;
    const byteLength = shape.reduce((product, length) => product * length, elementBytes);
    const read = (offset = 0, length = byteLength - offset): Uint8Array => {
      if (spec.norm && name.endsWith('weight')) return cycle(ones, offset, length);
      return shape.length > 1
        ? cycle(table, (randomKey(seed, name)[0] % TABLE_LENGTH) * elementBytes + offset, length)
        : new Uint8Array(length);
    };
    return { name, dtype, shape, byteLength, read };
  };
  return { names: () => specs.keys(), get: source };
}

const TABLE_LENGTH = 65537;

function stored(values: Float32Array, dtype: 'F32' | 'BF16'): Uint8Array {
  const { buffer, byteOffset, byteLength } = dtype === 'F32' ? values : encodeBfloat16(values);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** `length` bytes of the endless repetition of `bytes`, from `start` on. */
function cycle(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const result = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const from = (start + done) % bytes.length;
    const part = bytes.subarray(from, from + Math.min(length - done, bytes.length - from));
    result.set(part, done);
    done += part.length;
  }
  return result;
}
