/**
 * Attention with linear biases (ALiBi, Press et al. 2022): the score of query i and key j gains
 * m_h·(j − i), m_h the slope of head h.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelRun } from '@peft/core';
import type { AttentionOptions } from '@peft/ops';

/** The bias for keys up to the last of these positions. */
export function alibiBias(
  run: ModelRun,
  slopes: readonly number[],
  positions: Int32Array,
): NonNullable<AttentionOptions['bias']> {
  const needed = positions.reduce((most, position) => Math.max(most, position + 1), 64);
  const length = 2 ** Math.ceil(Math.log2(needed));
  const [values] = run.constants(`alibi ${length} ${slopes.join(' ')}`, () => [
    tf.tensor2d(
      Float32Array.from(
        { length: slopes.length * length },
        (_, n) => slopes[Math.floor(n / length)]! * ((n % length) - (length - 1)),
      ),
      [slopes.length, length],
    ),
  ]);
  return {
    values: values as Tensor2D,
    index: Int32Array.from({ length }, (_, n) => n),
    origin: length - 1,
  };
}

/**
 * Slopes 2^(−8k/n), k = 1 … n, of n heads that are a power of two; further heads take every second
 * slope of twice as many (Press et al. 2022, section 3, and their code).
 */
export function alibiSlopes(heads: number): number[] {
  const known = 2 ** Math.floor(Math.log2(heads));
  const slope = (count: number, k: number) => Math.fround(2 ** ((-8 * k) / count));
  return [
    ...Array.from({ length: known }, (_, k) => slope(known, k + 1)),
    ...Array.from({ length: heads - known }, (_, k) => slope(2 * known, 2 * k + 1)),
  ];
}
