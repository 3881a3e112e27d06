/** Tensors of seeded random numbers for tests. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { randomKey, randomNormal } from '@peft/ops';

/**
 * Normal numbers of standard deviation `scale`, the same for the same seed and shape. The caller
 * disposes.
 */
export function seededTensor<T extends Tensor = Tensor>(
  seed: number | string,
  shape: readonly number[],
  scale = 1,
): T {
  return tf.tensor(
    seededValues(
      seed,
      shape.reduce((size, axis) => size * axis, 1),
      scale,
    ),
    shape as number[],
    'float32',
  ) as T;
}

/** `count` normal numbers of standard deviation `scale`. */
export function seededValues(seed: number | string, count: number, scale = 1): Float32Array {
  const key = randomKey('test', seed);
  return Float32Array.from({ length: count }, (_, i) => scale * randomNormal(key, i));
}
