import * as tf from '@tensorflow/tfjs';
import { seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { randomKey, randomUniform } from './counter-random.js';
import { dropout } from './dropout.js';

onEachBackend('dropout', () => {
  const key = randomKey(1, 'layer.0', 7);

  test('keeps element i where u(key, i) ≥ rate, divided by 1 − rate, and so does its gradient', () => {
    const x = seededTensor('x', [6, 9]);
    const factors = [...Array(54).keys()].map((i) =>
      randomUniform(key, i) >= 0.25 ? 1 / 0.75 : 0,
    );
    expect(dropout(x, 0.25, key)).toBeAllclose(
      [...x.dataSync()].map((value, i) => value * factors[i]!),
      { rtol: 1e-6 },
    );
    expect(tf.grad((a) => dropout(a, 0.25, key))(x)).toBeAllclose(factors, { rtol: 1e-6 });
  });

  test('drops the share that it was told to, another one for another key', () => {
    const ones = tf.ones([100, 100]);
    const dropped = (k: readonly [number, number]) =>
      [...dropout(ones, 0.1, k).dataSync()].map((value) => value === 0);
    const count = dropped(key).filter(Boolean).length;
    expect(Math.abs(count - 1000)).toBeLessThan(120); // 4 standard deviations of a binomial of 10,000 × 0.1
    expect(dropped(randomKey(2, 'layer.0', 7))).not.toEqual(dropped(key));
    expect(dropped(key)).toEqual(dropped(key));
  });

  test('rate 0 is x itself, and a rate of 1 is refused', () => {
    const x = seededTensor('x', [2, 2]);
    expect(dropout(x, 0, key)).toBe(x);
    expect(() => dropout(x, 1, key)).toThrow('dropout: rate must be a number in [0, 1), got 1.');
  });
});
