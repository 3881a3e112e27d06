/** What a small model beside another would say itself counts in the loss, by the plain output layer. */
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import type { ModelOutput } from '@peft/core';
import { causalLanguageModel, type CausalBatch } from './causal-language-model.js';

const HIDDEN = [
  [1, -0.5],
  [0.3, 2],
  [-1, 0.7],
];
const BESIDE = [
  [0.2, 0.4],
  [-1.5, 1],
  [2, 0],
];
const MATRIX = [
  [1, 0.5],
  [-0.3, 2],
  [0.8, -1],
];
const SCALE = 0.5;
const BATCH: CausalBatch = {
  inputIds: Int32Array.of(0, 2, 1),
  offsets: Int32Array.of(0, 3),
  tokenLabels: Int32Array.of(0, 2, 1),
  exampleOffsets: Int32Array.of(0, 1),
  rows: Int32Array.of(0),
};

/** Σ −ln p of tokens 2 and 1 behind rows 0 and 1. */
const costOf = (rows: readonly number[][], scale: number): number =>
  [2, 1].reduce((sum, token, row) => {
    const logits = MATRIX.map((w) => scale * (w[0]! * rows[row]![0]! + w[1]! * rows[row]![1]!));
    return sum - logits[token]! + Math.log(logits.reduce((all, z) => all + Math.exp(z), 0));
  }, 0);

test('adds it, weighted, without scale and cap', async () => {
  await tf.setBackend('cpu');
  const lossOf = (weights: readonly number[]): number =>
    tf.tidy(() => {
      const output: ModelOutput = {
        hidden: tf.tensor2d(HIDDEN),
        offsets: BATCH.offsets,
        outputLayer: { weight: tf.tensor2d(MATRIX), scale: SCALE, softCap: 0 },
        auxiliary: weights.map((weight) => ({ hidden: tf.tensor2d(BESIDE), weight })),
      };
      return causalLanguageModel().loss(output, BATCH).dataSync()[0]!;
    });
  expect(lossOf([])).toBeCloseTo(costOf(HIDDEN, SCALE), 5);
  expect(lossOf([0.3])).toBeCloseTo(costOf(HIDDEN, SCALE) + 0.3 * costOf(BESIDE, 1), 5);
});

test('refuses an adapter on the output layer', () => {
  tf.tidy(() => {
    const hidden = tf.tensor2d(HIDDEN);
    const output: ModelOutput = {
      hidden,
      offsets: BATCH.offsets,
      logitsOf: () => tf.zeros([2, 3]),
      auxiliary: [{ hidden, weight: 1 }],
    };
    expect(() => causalLanguageModel().loss(output, BATCH)).toThrow('auxiliaryLossWeight');
  });
});
