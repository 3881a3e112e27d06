import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { rmsNorm } from './rms-norm.js';

onEachBackend('rmsNorm', () => {
  test.each([
    [1, 1, 0],
    [1, 6, 1],
    [5, 8, 0],
  ])(
    '%i rows of %i with offset %i: equals the formula, and its gradients the central differences',
    (rows, width, gammaOffset) => {
      const [x, gamma] = [
        seededTensor<Tensor2D>('x', [rows, width]),
        seededTensor<Tensor1D>('gamma', [width]),
      ];
      const naive = tf.mul(
        tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), 1, true), 1e-6))),
        tf.add(gamma, gammaOffset),
      );
      expect(rmsNorm(x, gamma, 1e-6, { gammaOffset })).toBeAllclose(naive, { atol: 2e-6 });
      if (width > 1)
        expectGradients(
          (a, b) => rmsNorm(a as Tensor2D, b as Tensor1D, 1e-6, { gammaOffset }),
          [x, gamma],
        );
    },
  );

  test('a frozen scale leaves the gradient of x as it is', () => {
    const [x, gamma] = [seededTensor<Tensor2D>('x', [3, 6]), seededTensor<Tensor1D>('gamma', [6])];
    const [expected] = tf.grads((a, b) => rmsNorm(a as Tensor2D, b as Tensor1D, 1e-6))([x, gamma]);
    expect(
      tf.grad((a) => rmsNorm(a as Tensor2D, freezeTensor(tf.clone(gamma)), 1e-6))(x),
    ).toBeAllclose(expected!);
  });
});
