/** Sums of values by segment: y_s = Σ_{n: segment_n = s} x_n; dx_n = dy_{segment_n}. x `[N]`, y `[S]`. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { copyRows } from './copy-rows.js';
import { hasDeviceMemory } from '../tape/device-memory.js';
import { differentiable } from '../tape/differentiable.js';

/**
 * Added in their order, so that a segment's sum depends on its own values alone; in float64 where
 * they can be read at once.
 * @param segments `[N]`, each in [0, S), or −1 for a value that counts nowhere.
 * @returns `[S]`, owned by the enclosing scope.
 * @throws PEFT_SEGMENT_RANGE
 */
export function segmentSums(x: Tensor1D, segments: Int32Array, count: number): Tensor1D {
  const bad = segments.find((segment) => segment < -1 || segment >= count);
  if (bad !== undefined || segments.length !== x.shape[0])
    throw new PeftError(
      'PEFT_SEGMENT_RANGE',
      `segmentSums: ${x.shape[0]} values in ${count} segments got ` +
        `${bad === undefined ? `${segments.length} segment numbers` : `the segment number ${bad}`}.`,
      { hint: 'give each value a number from 0, or −1 to leave it out' },
    );
  return differentiable<'x', Tensor1D>(
    { x },
    () => {
      if (hasDeviceMemory()) return sumsOnDevice(x, segments, count);
      const sums = new Float64Array(count);
      x.dataSync<'float32'>().forEach((value, n) => {
        if (segments[n]! >= 0) sums[segments[n]!]! += value;
      });
      return tf.tensor1d(Float32Array.from(sums));
    },
    ({ dy }) => ({ x: copyRows(dy as Tensor1D, segments) }),
  );
}

/** The values of each segment side by side, `[S, longest]`, with zeros behind them. */
export function sumsOnDevice(x: Tensor1D, segments: Int32Array, count: number): Tensor1D {
  const own = Array.from({ length: count }, (): number[] => []);
  segments.forEach((segment, n) => segment >= 0 && own[segment]!.push(n));
  const longest = Math.max(1, ...own.map(({ length }) => length));
  const places = new Int32Array(count * longest).fill(-1);
  own.forEach((values, s) => places.set(values, s * longest));
  return tf.tidy(() => tf.sum(tf.reshape(copyRows(x, places), [count, longest]), 1));
}
