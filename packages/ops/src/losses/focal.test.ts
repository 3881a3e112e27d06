import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { crossEntropy } from './cross-entropy.js';
import { focal } from './focal.js';

const labels = Int32Array.of(2, 0, -100, 1);
const weights = Float32Array.of(0.5, 1, 2);
const lossOf =
  (gamma: number, options = {}) =>
  (z: Tensor): Tensor =>
    focal(crossEntropy(z as Tensor2D, labels, options), crossEntropy(z as Tensor2D, labels), gamma);

onEachBackend('focal', () => {
  test('is (1 − p)^γ times the loss, 0 for a row without a label', () => {
    const logits = seededTensor<Tensor2D>('z', [4, 3], 2);
    const p = tf.softmax(logits).arraySync();
    const expected = [...labels].map((t, n) =>
      t < 0 ? 0 : -weights[t]! * (1 - p[n]![t]!) ** 2 * Math.log(p[n]![t]!),
    );
    expect(lossOf(2, { weights })(logits)).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-7 });
    expect(lossOf(0)(logits)).toBeAllclose(crossEntropy(logits, labels));
  });

  test.each([0.5, 1, 2, 3.5])('gradients agree with central differences (γ %d)', (gamma) => {
    expectGradients(lossOf(gamma, { weights, labelSmoothing: 0.1 }), [
      seededTensor('z', [4, 3], 1),
    ]);
  });

  test('a certain and right answer costs nothing, and has a gradient that is a number', () => {
    const logits = tf.tensor2d([[100, 0, 0]]);
    const one = (z: Tensor): Tensor => {
      const loss = crossEntropy(z as Tensor2D, Int32Array.of(0));
      return focal(loss, loss, 0.5);
    };
    expect(one(logits)).toBeAllclose([0]);
    expect(tf.grad(one)(logits)).toBeAllclose([0, 0, 0]);
  });

  test('a negative focus is refused', () => {
    const loss = tf.tensor1d([1]);
    expect(() => focal(loss, loss, -1)).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});
