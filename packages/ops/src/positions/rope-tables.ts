/**
 * Tables of rotary positions: cos[t, i] = a·cos(t·f_i), sin likewise, with f and a from
 * `ropeFrequencies`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { check } from '@peft/errors';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { ropeFrequencies, type RopeScaling } from './rope-frequencies.js';

/** cos, sin `[T, R/2]`, frozen. */
export interface RopeTables {
  readonly cos: Tensor2D;
  readonly sin: Tensor2D;
}

/** Size of the tables of rotary positions, and how they turn. */
export interface RopeTableOptions {
  /** E, the width of a head. */
  readonly headSize: number;
  /**
   * T: positions 0 … T − 1. For dynamic scaling this is the length of the longest sequence of the
   * batch, as it decides the angles.
   */
  readonly length: number;
  /** `rope_theta`. Default 10,000. */
  readonly theta?: number;
  /** Share of a head's columns that turn (`partial_rotary_factor`). Default 1. */
  readonly partialRotaryFactor?: number;
  /** `rope_scaling` or `rope_parameters` of the config. */
  readonly scaling?: RopeScaling | null;
  /** `max_position_embeddings` */
  readonly maxPositions?: number;
}

/** @returns two tensors; the caller disposes. @throws PEFT_CONFIG_INVALID */
export function ropeTables({
  headSize,
  length,
  theta = 10_000,
  partialRotaryFactor = 1,
  scaling,
  maxPositions,
}: RopeTableOptions): RopeTables {
  check.positiveInteger('rope', 'length', length);
  const rotarySize = Math.floor(headSize * partialRotaryFactor);
  const { frequencies, attentionFactor } = ropeFrequencies({
    rotarySize,
    theta,
    scaling,
    maxPositions,
    length,
  });
  const width = frequencies.length;
  // Angles are rounded to float32 as Hugging Face's are: at position 10,000 that shows in the
  // fourth digit of cos.
  const table = (f: (angle: number) => number) =>
    freezeTensor(
      tf.tensor2d(
        Float32Array.from(
          { length: length * width },
          (_, n) =>
            f(Math.fround(Math.floor(n / width) * frequencies[n % width]!)) * attentionFactor,
        ),
        [length, width],
      ),
    );
  return { cos: table(Math.cos), sin: table(Math.sin) };
}
