import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { meanPool } from './mean-pool.js';
import { offsetsOf } from '../positions/offsets.js';

onEachBackend('meanPool', () => {
  test.each([[[1]], [[4]], [[3, 1, 5]]])(
    'lengths %j: is the mean of each sequence, and its gradient agrees with differences',
    (lengths) => {
      const offsets = offsetsOf(lengths);
      const x = seededTensor<Tensor2D>('x', [offsets.at(-1)!, 3]);
      const means = lengths.map((length, b) =>
        tf.mean(tf.slice(x, [offsets[b]!, 0], [length, 3]), 0),
      );
      expect(meanPool(x, offsets)).toBeAllclose(tf.stack(means), { atol: 1e-6 });
      expectGradients((a: Tensor) => meanPool(a as Tensor2D, offsets), [x]);
    },
  );
});
