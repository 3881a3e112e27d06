import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { binaryCrossEntropy } from './binary-cross-entropy.js';

const targets = Float32Array.of(1, 0, 1, 0, 0, 1, 0.25, 1, 0.5);
const positiveWeights = Float32Array.of(0.5, 1, 3);

onEachBackend('binaryCrossEntropy', () => {
  test('is that of the documented formula, with weights of the positives', () => {
    const logits = seededTensor<Tensor2D>('z', [3, 3], 3);
    const z = logits.dataSync();
    const expected = [...targets].map(
      (y, i) =>
        -positiveWeights[i % 3]! * y * Math.log(1 / (1 + Math.exp(-z[i]!))) -
        (1 - y) * Math.log(1 - 1 / (1 + Math.exp(-z[i]!))),
    );
    expect(binaryCrossEntropy(logits, targets, { positiveWeights })).toBeAllclose(expected, {
      rtol: 1e-5,
      atol: 1e-6,
    });
  });

  test("equals PyTorch's BCEWithLogitsLoss(pos_weight)", () => {
    // torch 2.14: F.binary_cross_entropy_with_logits(z, y, pos_weight=p, reduction='none')
    const logits = tf.tensor2d([
      [-2.5, 0, 1.25],
      [4, -0.5, 30],
      [0.75, -30, 0],
    ]);
    expect(binaryCrossEntropy(logits, targets, { positiveWeights })).toBeAllclose(
      [
        1.2894448671, 0.6931471806, 0.755787244, 4.0181499279, 0.4740769842, 0, 0.9010121304, 30,
        1.3862943611,
      ],
      { rtol: 2e-6 },
    );
  });

  test.each([
    ['plain', {}],
    ['weighted', { positiveWeights }],
  ])('gradients (%s) agree with central differences, also at a logit of 0', (_, options) => {
    expectGradients(
      (z: Tensor) => binaryCrossEntropy(z as Tensor2D, targets, options),
      [tf.tensor2d([0.5, 0, -1, 2, 0, -0.25, 1.5, 0, 0.75], [3, 3])],
    );
  });

  test('logits of ±1000 neither overflow nor lose the loss', () => {
    const logits = tf.tensor2d([[1000, -1000]]);
    expect(binaryCrossEntropy(logits, Float32Array.of(0, 1))).toBeAllclose([1000, 1000]);
    expect(
      tf.grad((z) => binaryCrossEntropy(z as Tensor2D, Float32Array.of(0, 1)))(logits),
    ).toBeAllclose([1, -1]);
  });

  test('targets outside and of another number are named', () => {
    const logits = tf.zeros<tf.Rank.R2>([1, 2]);
    expect(() => binaryCrossEntropy(logits, Float32Array.of(0, 2))).toThrow(
      'the target of label 1 in row 0 is 2',
    );
    expect(() => binaryCrossEntropy(logits, Float32Array.of(0))).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_RANGE' }),
    );
    expect(() =>
      binaryCrossEntropy(logits, Float32Array.of(0, 1), { positiveWeights: Float32Array.of(1) }),
    ).toThrow('1 weights were given for 2 labels');
  });
});
