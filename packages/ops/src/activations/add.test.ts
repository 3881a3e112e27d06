import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import { seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { add } from './add.js';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { variableGradients } from '../tape/gradients.js';

onEachBackend('add', () => {
  test('is the sum, with its gradient for both operands, also when they are one', () => {
    const [a, b] = [
      tf.variable(seededTensor<Tensor2D>('a', [3, 4])),
      tf.variable(seededTensor<Tensor2D>('b', [3, 4])),
    ];
    expect([...add<Tensor2D>(a, b).dataSync()]).toEqual([...tf.add(a, b).dataSync()]);
    const { value, gradients } = tf.tidy(() =>
      variableGradients(
        () => tf.sum(tf.square(add<Tensor2D>(add<Tensor2D>(a, b), a))) as Scalar,
        [a, b],
      ),
    );
    const { grads } = tf.tidy(() =>
      tf.variableGrads(() => tf.sum(tf.square(tf.add(tf.add(a, b), a))) as Scalar, [a, b]),
    );
    for (const [name, gradient] of Object.entries(gradients))
      expect([...gradient.dataSync()]).toEqual([...grads[name]!.dataSync()]);
    tf.dispose([value, gradients, grads, a, b] as never);
  });

  test('keeps neither operand for the gradient', () => {
    const x = tf.variable(seededTensor<Tensor2D>('x', [5, 6]));
    const during: number[] = [];
    const run = (sum: (a: Tensor2D, b: Tensor2D) => Tensor2D) =>
      tf.tidy(() =>
        variableGradients(() => {
          const y = tf.tidy(() => sum(tf.mul(x, 2), freezeTensor(tf.ones<tf.Rank.R2>([5, 6]))));
          during.push(tf.memory().numDataBuffers);
          return tf.sum(y) as Scalar;
        }, [x]),
      );
    tf.dispose([run(add), run((a, b) => tf.add(a, b)), x] as never);
    expect(during[0]).toBeLessThan(during[1]!);
  });

  test('does not broadcast', () => {
    expect(() => add(tf.ones([2, 3]), tf.ones([3]))).toThrow(
      'add: the operands have the shapes [2, 3] and [3].',
    );
  });
});
