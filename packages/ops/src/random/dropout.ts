/**
 * Dropout (Srivastava et al. 2014) with random numbers that depend on a key alone: y_i =
 * x_i·keep_i/(1 − rate), keep_i = u(key, i) ≥ rate, i counting the elements of the tensor row by
 * row. The gradient is the same map of dy.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { check } from '@peft/errors';
import { randomUniform, type RandomKey } from './counter-random.js';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';

/**
 * @param rate in [0, 1); 0 returns x itself. @param key names the stream; see `randomKey`.
 * @returns the shape of x, owned by the enclosing scope.
 * @throws PEFT_CONFIG_INVALID for a rate outside.
 */
export function dropout<T extends Tensor = Tensor2D>(x: T, rate: number, key: RandomKey): T {
  check.probability('dropout', 'rate', rate);
  if (rate === 0) return x;
  const apply = (input: Tensor) =>
    runKernel('PeftDropout', { x: input }, { rate, key }, () => [
      tf.mul(input, tf.tensor(dropoutFactors(input.size, rate, key), input.shape)),
    ])[0]!;
  return differentiable<'x', T>(
    { x },
    () => apply(x),
    ({ dy }) => ({ x: apply(dy) }),
  );
}

/**
 * What elements `first` … `first + count − 1` of the stream are multiplied by: 0 or 1/(1 − rate).
 */
export function dropoutFactors(
  count: number,
  rate: number,
  key: RandomKey,
  first = 0,
): Float32Array {
  const factors = new Float32Array(count);
  const kept = 1 / (1 - rate);
  for (let i = 0; i < count; i += 1) if (randomUniform(key, first + i) >= rate) factors[i] = kept;
  return factors;
}
