import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { differentiable } from './differentiable.js';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';

const product = (x: Tensor, y: Tensor, asked: string[] = []) =>
  differentiable<'x' | 'y'>(
    { x, y },
    (save) => {
      save([x, y]);
      return tf.mul(x, y);
    },
    ({ dy, saved: [a, b], needs }) => {
      asked.push(
        Object.entries(needs)
          .filter(([, need]) => need)
          .map(([name]) => name)
          .join(),
      );
      return {
        x: needs.x ? tf.mul(tf.mul(dy, b!), 1) : undefined,
        y: needs.y ? tf.mul(dy, a!) : undefined,
      };
    },
  );

onEachBackend('differentiable', () => {
  test('asks for the gradients of inputs that are not frozen, and of no others', () => {
    const [x, y] = [seededTensor('x', [3]), freezeTensor(seededTensor('y', [3]))];
    const asked: string[] = [];
    expect([
      ...tf
        .grad((a) => product(a, y, asked))(x)
        .dataSync(),
    ]).toEqual([...y.dataSync()]);
    expect(asked).toEqual(['x']);
  });

  test('a result of frozen inputs is frozen, leaves nothing on the tape and keeps nothing', () => {
    const [x, y] = [freezeTensor(seededTensor('x', [3])), freezeTensor(seededTensor('y', [3]))];
    const w = seededTensor('w', [3]);
    const gradient = tf.grad((a) => {
      const before = tf.memory().numTensors;
      const z = product(x, y);
      expect(isFrozenTensor(z)).toBe(true);
      expect(tf.memory().numTensors).toBe(before + 1);
      return tf.mul(a, z);
    })(w);
    expect(gradient).toBeAllclose(tf.mul(x, y));
  });

  test('outside of a gradient only the result is left, and is no less one that can train', () => {
    const [x, y] = [seededTensor('x', [3]), freezeTensor(seededTensor('y', [3]))];
    const before = tf.memory().numTensors;
    const z = differentiable<'x' | 'y'>(
      { x, y },
      (save, needs) => {
        expect(needs).toEqual({ x: true, y: false });
        const squared = tf.square(x);
        save([squared, y]);
        return tf.mul(squared, y);
      },
      () => {
        throw new Error('nobody asked for a gradient');
      },
    );
    expect(tf.memory().numTensors).toBe(before + 1);
    expect(isFrozenTensor(z)).toBe(false);
    expect(z).toBeAllclose(tf.mul(tf.square(x), y));
    // what was made before the tape began is a constant on it
    expect([
      ...tf
        .grad((a) => tf.mul(a, z))(x)
        .dataSync(),
    ]).toEqual([...z.dataSync()]);
  });

  test('a gradient may be asked for inside of an operation outside of one', () => {
    const slope = (x: Tensor) =>
      differentiable<'x'>(
        { x },
        () => tf.grad((a: Tensor) => product(a, a))(x),
        () => ({}),
      );
    expect([...slope(tf.tensor1d([2, 3])).dataSync()]).toEqual([4, 6]); // (x²)′ = 2x
  });

  test('a gradient that is dy itself, or the same tensor twice, may be added to others', () => {
    const sum = (x: Tensor, y: Tensor) =>
      differentiable<'x' | 'y'>(
        { x, y },
        () => tf.add(x, y),
        ({ dy }) => ({ x: dy, y: dy }),
      );
    const [x, y] = [seededTensor('x', [3]), seededTensor('y', [3])];
    const [dx, dy] = tf.grads((a, b) => sum(sum(a, b), sum(a, tf.square(a))))([x, y]);
    expect(dx!).toBeAllclose(
      [...x.dataSync()].map((value) => 2 + 2 * value),
      { atol: 1e-6 },
    );
    expect([...dy!.dataSync()]).toEqual([1, 1, 1]);
  });

  test('a second derivative is right, too', () => {
    const x = tf.tensor1d([2, 3]);
    const cube = (a: Tensor) => tf.sum(product(product(a, a), a));
    expect([
      ...tf
        .grad((a) => tf.sum(tf.grad(cube)(a)))(x)
        .dataSync(),
    ]).toEqual([12, 18]); // (x³)″ = 6x
  });

  test('a gradient that is missing is an error of the operation', () => {
    const broken = (x: Tensor) =>
      differentiable<'x'>(
        { x },
        () => tf.square(x),
        () => ({}),
      );
    expect(() => tf.tidy(() => tf.grad(broken)(tf.ones([2])))).toThrow(
      'returned no gradient for its input "x"',
    );
  });
});
