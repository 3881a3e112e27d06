import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { activate } from './activation.js';
import { activationNamed } from './activation-named.js';
import { gatedActivation } from './gated-activation.js';
import type { ActivationName } from '../tape/kernels.js';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
/** erf by its Taylor series, exact to 1e-12 for |x| < 3. */
const erf = (x: number): number => {
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};

const FORMULAS: Record<ActivationName, (x: number) => number> = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu_quick: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(x, 0),
  relu_squared: (x) => Math.max(x, 0) ** 2,
  silu: (x) => x * sigmoid(x),
  tanh: Math.tanh,
  sigmoid,
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
};
const kinds = Object.keys(FORMULAS) as ActivationName[];

onEachBackend('activate', () => {
  test.each(kinds)('%s equals its formula, and its gradient the central differences', (kind) => {
    const x = tf.tensor2d(
      Float32Array.from({ length: 28 }, (_, i) => (i - 13.7) / 4),
      [4, 7],
    ); // not at the kink of relu
    expect(activate(kind, x)).toBeAllclose([...x.dataSync()].map(FORMULAS[kind]), { atol: 2e-6 });
    expectGradients((a) => activate(kind, a), [x], { step: 0.01 });
  });

  test.each(kinds)('%s stays finite far from zero, with its limits as gradient', (kind) => {
    const x = tf.tensor1d([-90, 90]);
    const gradient = [
      ...tf
        .grad((a) => activate(kind, a))(x)
        .dataSync(),
    ];
    const limits: Partial<Record<ActivationName, number[]>> = {
      tanh: [0, 0],
      sigmoid: [0, 0],
      leaky_relu: [0.01, 1],
      relu_squared: [0, 180],
    };
    expect([...activate(kind, x).dataSync()].every(Number.isFinite)).toBe(true);
    expect(gradient).toBeAllclose(limits[kind] ?? [0, 1], { atol: 1e-6 });
  });

  test.each(kinds)('gated %s is the activation times the other half', (kind) => {
    const [gate, up] = [
      seededTensor<Tensor2D>('gate', [3, 5], 2),
      seededTensor<Tensor2D>('up', [3, 5]),
    ];
    const both = (g: Tensor, u: Tensor) => gatedActivation(kind, g as Tensor2D, u as Tensor2D);
    const apart = (g: Tensor, u: Tensor) => tf.mul(activate(kind, g), u);
    expect(both(gate, up)).toBeAllclose(apart(gate, up));
    const expected = tf.grads(apart)([gate, up]);
    tf.grads(both)([gate, up]).forEach((gradient, i) =>
      expect(gradient).toBeAllclose(expected[i]!),
    );
  });
});

describe('activationNamed', () => {
  test('knows the spellings of Hugging Face configs', () => {
    expect(
      [
        'gelu',
        'gelu_new',
        'gelu_pytorch_tanh',
        'gelu_fast',
        'quick_gelu',
        'relu2',
        'swish',
        'SiLU',
        'leaky_relu',
      ].map(activationNamed),
    ).toEqual([
      'gelu',
      'gelu_tanh',
      'gelu_tanh',
      'gelu_tanh',
      'gelu_quick',
      'relu_squared',
      'silu',
      'silu',
      'leaky_relu',
    ]);
  });

  test('names the nearest for one that it does not know', () => {
    expect(() => activationNamed('gelu_newer')).toThrow(
      /"gelu_newer" is not a known activation[^]*Did you mean .*"gelu_new"/,
    );
    expect(() => activationNamed('constructor')).toThrow(
      expect.objectContaining({ code: 'PEFT_ACTIVATION_UNKNOWN' }),
    );
  });
});
