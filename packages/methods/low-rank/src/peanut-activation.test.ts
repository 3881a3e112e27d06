/** Values and slopes are those of transformers 5.18's `ACT2FN` in float64. */
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { sigmaNamed } from './peanut-activation.js';

const X = [-12, -3, -0.5, 0.25, 2, 5.5, 7, 12];

test.each([
  ['linear', X, [1, 1, 1, 1, 1, 1, 1, 1]],
  ['relu6', [0, 0, 0, 0.25, 2, 5.5, 6, 6], [0, 0, 0, 1, 1, 1, 0, 0]],
  [
    'gelu_10',
    [0, -0.0040497, -0.1542688, 0.1496766, 1.9544997, 5.4999999, 7, 10],
    [0, -0.0119456, 0.1325049, 0.6953734, 1.0852318, 1.0000006, 1, 0],
  ],
  [
    'mish',
    [-7.37e-5, -0.1456475, -0.2207438, 0.1695724, 1.943959, 5.4998178, 6.9999884, 12],
    [-6.76e-5, -0.0933931, 0.2895107, 0.7541727, 1.0693179, 1.0003298, 1.0000216, 1],
  ],
  [
    'laplace',
    [0, 0, 9.4e-6, 0.0525731, 0.9999977, 1, 1, 1],
    [0, 0, 0.0001494, 0.3804971, 3.88e-5, 0, 0, 0],
  ],
])('%s', (name, values, slopes) => {
  const sigma = sigmaNamed(name);
  tf.tidy(() => {
    const { value, grad } = tf.valueAndGrad((x) => sigma(x as tf.Tensor2D).sum())(tf.tensor2d([X]));
    expect(value.dataSync()[0]).toBeCloseTo(
      values.reduce((sum, each) => sum + each, 0),
      4,
    );
    for (const [i, slope] of grad.dataSync().entries()) expect(slope).toBeCloseTo(slopes[i]!, 4);
    for (const [i, y] of sigma(tf.tensor2d([X]))
      .dataSync()
      .entries())
      expect(y).toBeCloseTo(values[i]!, 4);
  });
});

test('what is known nowhere is refused with the nearest names', () => {
  expect(() => sigmaNamed('gelo')).toThrow('"gelo" is not a known activation function');
});
