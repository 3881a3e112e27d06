import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { segmentSums } from './segment-sums.js';

let before = 0;
beforeEach(async () => {
  await tf.setBackend('cpu');
  before = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors).toBe(before));

const SEGMENTS = Int32Array.of(1, -1, 0, 1, 1);

describe('segmentSums', () => {
  it('adds what belongs together and leaves out −1; a segment of nothing is 0', () => {
    const sums = tf.tidy(() => segmentSums(tf.tensor1d([1, 2, 4, 8, 16]), SEGMENTS, 3).arraySync());
    expect(sums).toEqual([4, 25, 0]);
  });

  it('adds in float64', () => {
    const sums = tf.tidy(() =>
      segmentSums(tf.tensor1d([2 ** 24, 1, 1]), Int32Array.of(0, 0, 0), 1).arraySync(),
    );
    expect(sums).toEqual([2 ** 24 + 2]);
  });

  it('gives each value the gradient of its segment', () => {
    const gradient = tf.tidy(() =>
      tf
        .grad((x) => tf.sum(tf.mul(segmentSums(x as Tensor1D, SEGMENTS, 2), [3, 5])))(
          tf.tensor1d([1, 2, 4, 8, 16]),
        )
        .arraySync(),
    );
    expect(gradient).toEqual([5, 0, 3, 5, 5]);
  });

  it('refuses numbers outside', () => {
    expect(() => tf.tidy(() => segmentSums(tf.tensor1d([1, 2]), Int32Array.of(0, 2), 2))).toThrow(
      expect.objectContaining({ code: 'PEFT_SEGMENT_RANGE' }),
    );
  });
});
