import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { crossEntropy } from './cross-entropy.js';

const labels = Int32Array.of(2, -100, 0, 4);
const weights = Float32Array.of(0.5, 1, 2, 1, 3);

onEachBackend('crossEntropy', () => {
  test('is −ln of the softmax at the label, and 0 at −100', () => {
    const logits = seededTensor<Tensor2D>('z', [4, 5], 3);
    const p = tf.softmax(logits).arraySync();
    expect(crossEntropy(logits, labels)).toBeAllclose(
      [-Math.log(p[0]![2]!), 0, -Math.log(p[2]![0]!), -Math.log(p[3]![4]!)],
      { rtol: 1e-5 },
    );
  });

  test('label smoothing and class weights are those of the documented formula', () => {
    const logits = seededTensor<Tensor2D>('z', [4, 5], 3);
    const log = tf.logSoftmax(logits).arraySync();
    const epsilon = 0.1;
    const expected = [...labels].map((t, n) =>
      t === -100
        ? 0
        : -(1 - epsilon) * weights[t]! * log[n]![t]! -
          (epsilon / 5) * log[n]!.reduce((sum, l, c) => sum + weights[c]! * l, 0),
    );
    expect(crossEntropy(logits, labels, { labelSmoothing: epsilon, weights })).toBeAllclose(
      expected,
      { rtol: 1e-5 },
    );
  });

  test.each([
    ['plain', {}],
    ['smoothed', { labelSmoothing: 0.2 }],
    ['weighted', { weights }],
    ['both', { labelSmoothing: 0.2, weights }],
  ])('gradients (%s) agree with central differences', (_, options) => {
    expectGradients(
      (z: Tensor) => crossEntropy(z as Tensor2D, labels, options),
      [seededTensor('z', [4, 5], 2)],
    );
  });

  test('logits of ±1000 neither overflow nor lose the loss', () => {
    const logits = tf.tensor2d([
      [1000, 0],
      [-1000, 0],
    ]);
    expect(crossEntropy(logits, Int32Array.of(1, 0))).toBeAllclose([1000, 1000]);
    expect(tf.grad((z) => crossEntropy(z as Tensor2D, Int32Array.of(1, 0)))(logits)).toBeAllclose([
      1, -1, -1, 1,
    ]);
  });

  test('one row and one class give 0', () => {
    expect(crossEntropy(tf.tensor2d([[3]]), Int32Array.of(0))).toBeAllclose([0]);
  });

  test('labels outside and of another number are named', () => {
    const logits = tf.zeros<tf.Rank.R2>([2, 3]);
    expect(() => crossEntropy(logits, Int32Array.of(0, 3))).toThrow(
      'label 3 of row 1 is outside the 3 classes',
    );
    expect(() => crossEntropy(logits, Int32Array.of(0, -1))).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_RANGE' }),
    );
    expect(() => crossEntropy(logits, Int32Array.of(0))).toThrow('1 labels were given for 2 rows');
    expect(() =>
      crossEntropy(logits, Int32Array.of(0, 1), { weights: Float32Array.of(1) }),
    ).toThrow('1 class weights were given for 3 classes');
  });
});
