import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import { expectGradients } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { listCrossEntropy } from './list-cross-entropy.js';

const offsets = Int32Array.of(0, 3, 4, 6);
const weights = Float32Array.of(1, 0, 3, 1, 0, 0);
const SCORES = [0.5, -1, 2, 7, 1, 2];

onEachBackend('listCrossEntropy', () => {
  test('is −Σ P·ln softmax of each list; a list of one item, or without weight, costs nothing', () => {
    const exponentials = SCORES.slice(0, 3).map(Math.exp);
    const total = exponentials.reduce((a, b) => a + b);
    const expected = -(
      0.25 * Math.log(exponentials[0]! / total) +
      0.75 * Math.log(exponentials[2]! / total)
    );
    expect(listCrossEntropy(tf.tensor1d(SCORES), weights, offsets)).toBeAllclose([expected, 0, 0], {
      rtol: 1e-6,
    });
  });

  test('gradients agree with central differences', () => {
    expectGradients(
      (s: Tensor) => listCrossEntropy(s as Tensor1D, weights, offsets),
      [tf.tensor1d(SCORES)],
    );
  });

  test('scores of ±1000 neither overflow nor lose the loss', () => {
    const loss = (s: Tensor): Tensor =>
      listCrossEntropy(s as Tensor1D, Float32Array.of(0, 1), Int32Array.of(0, 2));
    expect(loss(tf.tensor1d([1000, -1000]))).toBeAllclose([2000]);
    expect(tf.grad(loss)(tf.tensor1d([1000, -1000]))).toBeAllclose([1, -1]);
  });

  test('weights of another number or below 0 are named', () => {
    const scores = tf.tensor1d([1, 2]);
    expect(() => listCrossEntropy(scores, Float32Array.of(1), Int32Array.of(0, 2))).toThrow(
      '2 scores, 1 weights',
    );
    expect(() => listCrossEntropy(scores, Float32Array.of(1, -1), Int32Array.of(0, 2))).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_RANGE' }),
    );
  });
});
