import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { randomKey } from './counter-random.js';
import { embeddingNoise } from './embedding-noise.js';

const offsets = Int32Array.of(0, 40, 200);
const WIDTH = 64;

onEachBackend('embeddingNoise', () => {
  test('is uniform, at most α/√(T·D) of the own sequence, and the same for a key', () => {
    const x = tf.ones<tf.Rank.R2>([200, WIDTH]);
    const key = randomKey(1, 'noise');
    const noise = tf.sub(embeddingNoise(x, offsets, 5, key), x).dataSync<'float32'>();
    for (const [start, end] of [
      [0, 40],
      [40, 200],
    ] as const) {
      const own = noise.slice(start * WIDTH, end * WIDTH);
      const bound = 5 / Math.sqrt((end - start) * WIDTH);
      const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeLessThanOrEqual(bound + 1e-6);
      expect(largest).toBeGreaterThan(0.99 * bound);
      // a uniform number in [−b, b) has mean 0 and variance b²/3; four standard errors of each
      const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
      const variance = own.reduce((sum, value) => sum + value * value, 0) / own.length;
      expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * own.length));
      expect(variance / (bound * bound)).toBeCloseTo(1 / 3, 1);
    }
    expect(embeddingNoise(x, offsets, 5, key)).toBeAllclose(embeddingNoise(x, offsets, 5, key));
    const other = tf.sub(embeddingNoise(x, offsets, 5, randomKey(2, 'noise')), x).dataSync();
    expect(other[0]).not.toBe(noise[0]);
  });

  test('lets the gradient pass, and keeps what is frozen frozen', () => {
    const x = tf.ones<tf.Rank.R2>([200, 2]);
    const gradient = tf.grad((a) =>
      embeddingNoise(a as Tensor2D, offsets, 5, randomKey(1, 'noise')),
    )(x);
    expect(gradient).toBeAllclose(tf.ones([200, 2]));
    const frozen = freezeTensor(tf.ones<tf.Rank.R2>([200, 2]));
    expect(isFrozenTensor(embeddingNoise(frozen, offsets, 5, randomKey(1, 'noise')))).toBe(true);
  });

  test('needs a magnitude', () => {
    expect(() => embeddingNoise(tf.ones([200, 2]), offsets, 0, randomKey(1))).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});
