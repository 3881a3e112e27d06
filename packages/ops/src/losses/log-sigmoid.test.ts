import * as tf from '@tensorflow/tfjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { variableGradients } from '../tape/gradients.js';
import { logSigmoid } from './log-sigmoid.js';

beforeEach(() => tf.setBackend('cpu'));

const POINTS = [-200, -20, -1, 0, 1, 20];

describe('logSigmoid', () => {
  it('is the logarithm of the logistic function, also where that is 0 or 1 in float32', () => {
    const values = tf.tidy(() => logSigmoid(tf.tensor1d(POINTS)).dataSync());
    POINTS.forEach((x, i) =>
      expect(values[i]).toBeCloseTo(x < -30 ? x : -Math.log1p(Math.exp(-x)), 5),
    );
    expect(values[5]).toBeCloseTo(-2.061153618190204e-9, 15);
  });

  it('has the gradient σ(−x), in a scope of its own', () => {
    const x = tf.variable(tf.tensor1d(POINTS));
    const { value, gradients } = variableGradients(() => tf.sum(tf.neg(logSigmoid(x))), [x]);
    const slopes = gradients[x.name]!.dataSync();
    POINTS.forEach((point, i) => expect(slopes[i]).toBeCloseTo(-1 / (1 + Math.exp(point)), 6));
    tf.dispose([x, value, ...Object.values(gradients)]);
  });
});
