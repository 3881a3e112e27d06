import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { insertRows } from './insert-rows.js';
import { offsetsOf } from '../positions/offsets.js';

onEachBackend('insertRows', () => {
  test('puts the prefix before every sequence and says where everything is now', () => {
    const x = tf.tensor2d([[1], [2], [3]]);
    const { x: y, offsets, ownRows } = insertRows(x, offsetsOf([2, 1]), tf.tensor2d([[10], [20]]));
    expect([...y.dataSync()]).toEqual([10, 20, 1, 2, 10, 20, 3]);
    expect([...offsets]).toEqual([0, 4, 7]);
    expect([...ownRows]).toEqual([2, 3, 6]);
  });

  test.each([[[1]], [[3, 1, 2]]])(
    'lengths %j: its gradients agree with central differences',
    (lengths) => {
      const offsets = offsetsOf(lengths);
      const inputs = [seededTensor('x', [offsets.at(-1)!, 3]), seededTensor('p', [2, 3])];
      expectGradients(
        (x: Tensor, p: Tensor) => insertRows(x as Tensor2D, offsets, p as Tensor2D).x,
        inputs,
      );
      const expected = tf.grads(
        (x: Tensor, p: Tensor) => insertRows(x as Tensor2D, offsets, p as Tensor2D).x,
      )(inputs)[1]!;
      expect(
        tf.grad(
          (p) =>
            insertRows(freezeTensor(tf.clone(inputs[0] as Tensor2D)), offsets, p as Tensor2D).x,
        )(inputs[1]!),
      ).toBeAllclose(expected);
    },
  );

  test('puts rows of its own before each sequence, and gives each its gradient', () => {
    const offsets = offsetsOf([2, 1]);
    const own = tf.tensor2d([[10], [20], [30], [40]]);
    const { x, count } = insertRows(tf.tensor2d([[1], [2], [3]]), offsets, own, true);
    expect([...x.dataSync()]).toEqual([10, 20, 1, 2, 30, 40, 3]);
    expect(count).toBe(2);
    expectGradients(
      (x: Tensor, p: Tensor) => insertRows(x as Tensor2D, offsets, p as Tensor2D, true).x,
      [seededTensor('x', [3, 3]), seededTensor('p', [4, 3])],
    );
    expect(() => insertRows(x, offsetsOf([4, 3]), tf.zeros([3, 1]), true)).toThrow(
      '3 rows are no equal number for each of 2 sequences',
    );
  });

  test('a prefix of another width is named', () => {
    expect(() => insertRows(tf.zeros([2, 3]), offsetsOf([2]), tf.zeros([1, 4]))).toThrow(
      'the prefix is 4 wide, the sequences 3',
    );
  });
});
