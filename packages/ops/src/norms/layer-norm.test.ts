import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { layerNorm } from './layer-norm.js';

const naive = (x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number) => {
  const { mean, variance } = tf.moments(x, 1, true);
  return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon))), gamma), beta);
};

onEachBackend('layerNorm', () => {
  const inputs = (rows: number, width: number) =>
    [
      seededTensor<Tensor2D>('x', [rows, width], 3),
      seededTensor<Tensor1D>('gamma', [width]),
      seededTensor<Tensor1D>('beta', [width]),
    ] as const;

  test.each([
    [1, 1],
    [1, 7],
    [5, 8],
  ])(
    '%i rows of %i: value and gradients are those of the formula differentiated by tfjs',
    (rows, width) => {
      const [x, gamma, beta] = inputs(rows, width);
      expect(layerNorm(x, gamma, beta, 1e-5)).toBeAllclose(naive(x, gamma, beta, 1e-5), {
        atol: 1e-5,
      });
      if (width === 1) return;
      const dy = seededTensor('dy', [rows, width]);
      const ours = tf.grads((a, b, c) =>
        layerNorm(a as Tensor2D, b as Tensor1D, c as Tensor1D, 1e-5),
      )([x, gamma, beta], dy);
      const theirs = tf.grads((a, b, c) => naive(a, b, c, 1e-5))([x, gamma, beta], dy);
      ours.forEach((gradient, i) =>
        expect(gradient).toBeAllclose(theirs[i]!, { atol: 2e-5, rtol: 1e-4 }),
      );
    },
  );

  test('gradients agree with central differences', () => {
    expectGradients(
      (x, gamma, beta) => layerNorm(x as Tensor2D, gamma as Tensor1D, beta as Tensor1D, 1e-12),
      inputs(3, 6),
    );
  });

  test('without a bias it is the same as with a bias of zeros', () => {
    const [x, gamma] = inputs(4, 6);
    expect(layerNorm(x, gamma, undefined, 1e-5)).toBeAllclose(
      layerNorm(x, gamma, tf.zeros([6]), 1e-5),
      { atol: 0, rtol: 0 },
    );
    expectGradients((a, b) => layerNorm(a as Tensor2D, b as Tensor1D, undefined, 1e-5), [x, gamma]);
  });

  test('frozen inputs get no gradient; the others get the same as before', () => {
    const [x, gamma, beta] = inputs(4, 6);
    const [, , all] = tf.grads((a, b, c) =>
      layerNorm(a as Tensor2D, b as Tensor1D, c as Tensor1D, 1e-5),
    )([x, gamma, beta]);
    const only = tf.grad((c) =>
      layerNorm(freezeTensor(tf.clone(x)), freezeTensor(tf.clone(gamma)), c as Tensor1D, 1e-5),
    )(beta);
    expect(only).toBeAllclose(all!);
  });
});
