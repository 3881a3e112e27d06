import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor, toBeAllclose } from '@peft/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';
import { blocksOf } from './oft-config.js';

expect.extend({ toBeAllclose });
beforeAll(() => tf.setBackend('cpu'));

describe("Cayley's transform", () => {
  it('is orthogonal, and the series comes close to its inverse', () => {
    tf.tidy(() => {
      const skew = skewSymmetric(seededTensor<Tensor2D>(1, [3, 10], 0.05), 5);
      const exact = cayleyExact(skew);
      expect(tf.matMul(exact, exact, true, false)).toBeAllclose(
        tf.tile(tf.expandDims(tf.eye(5), 0), [3, 1, 1]),
        { atol: 1e-6 },
      );
      // The series is that of (I − Q)⁻¹(I + Q).
      expect(cayleySeries(skew, 12)).toBeAllclose(tf.transpose(exact, [0, 2, 1]), { atol: 1e-6 });
    });
  });

  it('turns a quarter for Q = [[0, 1], [-1, 0]]', () => {
    tf.tidy(() => {
      expect(cayleyExact(skewSymmetric(tf.tensor2d([[1]]), 2))).toBeAllclose([0, -1, 1, 0], {
        atol: 1e-6,
      });
    });
  });

  it('has the gradient of differences', () => {
    expectGradients(
      (vectors) => cayleyExact(skewSymmetric(vectors as Tensor2D, 3)),
      [seededTensor(2, [2, 3], 0.5)],
    );
  });
});

it.each([
  [{ rank: 0, blockSize: 8 }, 96, { count: 12, size: 8 }],
  [{ rank: 0, blockSize: 10 }, 96, { count: 12, size: 8 }],
  [{ rank: 0, blockSize: 200 }, 96, { count: 1, size: 96 }],
  [{ rank: 5, blockSize: 0 }, 12, { count: 4, size: 3 }],
])('blocks of %j in %i features are %j', (config, width, blocks) => {
  expect(blocksOf(width, config)).toEqual(blocks);
});
