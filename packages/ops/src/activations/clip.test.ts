import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { clip } from './clip.js';

onEachBackend('clip', () => {
  test('keeps values within the bounds, and lets no gradient through beyond them', () => {
    const x = tf.tensor2d([-3, -1, 0.5, 2, 7, 1], [2, 3]);
    expect(clip(x, 2)).toBeAllclose([-2, -1, 0.5, 2, 2, 1]);
    expect(clip(x, 2, -Infinity)).toBeAllclose([-3, -1, 0.5, 2, 2, 1]);
    const dx = tf.grad((y) => tf.sum(tf.square(clip(y as tf.Tensor2D, 2))))(x);
    expect(dx).toBeAllclose([0, -2, 1, 4, 0, 2]);
  });
});
