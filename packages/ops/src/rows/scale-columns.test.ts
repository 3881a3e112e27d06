import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { scaleColumns } from './scale-columns.js';

onEachBackend('scaleColumns', () => {
  test.each([
    [1, 1],
    [1, 5],
    [6, 4],
  ])('%i × %i: value and gradients are those of a product', (rows, width) => {
    const [x, scale] = [
      seededTensor<Tensor2D>('x', [rows, width]),
      seededTensor<Tensor1D>('s', [width]),
    ];
    const ours = (a: Tensor, b: Tensor) => scaleColumns(a as Tensor2D, b as Tensor1D);
    const dy = seededTensor('dy', [rows, width]);
    expect(ours(x, scale)).toBeAllclose(tf.mul(x, scale));
    const expected = tf.grads((a, b) => tf.mul(a, b))([x, scale], dy);
    tf.grads(ours)([x, scale], dy).forEach((gradient, i) =>
      expect(gradient).toBeAllclose(expected[i]!, { atol: 2e-6 }),
    );
    expect(tf.grad((b) => ours(freezeTensor(tf.clone(x)), b))(scale, dy)).toBeAllclose(
      expected[1]!,
      { atol: 2e-6 },
    );
  });
});
