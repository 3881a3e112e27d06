import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { getMetric } from '@peft/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classification } from './classification.js';
import { regression } from './regression.js';
import { classificationScore, regressionScore } from '../validation/scores.js';

const batch = (labels: Int32Array | Float32Array) => ({
  inputIds: Int32Array.of(1, 1, 1),
  offsets: Int32Array.of(0, 1, 2, 3),
  labels,
});
const output = (logits: Tensor2D) => ({
  hidden: logits,
  offsets: Int32Array.of(0, 1, 2, 3),
  logits,
});
const LOGITS = [
  [1, 2, 0.5],
  [-1, 0, 3],
  [0.2, 0.1, 0],
];
const logSoftmax = (row: readonly number[]) =>
  row.map((z) => z - Math.log(row.reduce((sum, other) => sum + Math.exp(other), 0)));

let before = 0;
beforeEach(async () => {
  await tf.setBackend('cpu');
  before = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors).toBe(before));

describe('classification', () => {
  it('sums cross entropy over the labelled sequences', () => {
    const task = classification({ classes: 3 });
    const loss = tf.tidy(
      () => task.loss(output(tf.tensor2d(LOGITS)), batch(Int32Array.of(1, -100, 0))).dataSync()[0]!,
    );
    expect(loss).toBeCloseTo(-(logSoftmax(LOGITS[0]!)[1]! + logSoftmax(LOGITS[2]!)[0]!), 5);
    expect(task.count(batch(Int32Array.of(1, -100, 0)))).toBe(2);
  });

  it('smooths labels: a share ε of each is spread over all classes', () => {
    const task = classification({ classes: 3, labelSmoothing: 0.1 });
    const loss = tf.tidy(
      () => task.loss(output(tf.tensor2d(LOGITS)), batch(Int32Array.of(1, 2, 0))).dataSync()[0]!,
    );
    const expected = [1, 2, 0].reduce((sum, label, b) => {
      const logs = logSoftmax(LOGITS[b]!);
      return sum - 0.9 * logs[label]! - (0.1 / 3) * logs.reduce((a, c) => a + c);
    }, 0);
    expect(loss).toBeCloseTo(expected, 5);
  });

  it('predicts probabilities, also where float32 would overflow', async () => {
    const logits = tf.tensor2d([[200, 100, 0], LOGITS[0]!]);
    const predictions = await classification({ classes: 3 }).predict(
      output(logits),
      batch(Int32Array.of(0, 0)),
    );
    logits.dispose();
    expect([...predictions[0]!]).toEqual([1, Math.exp(-100), Math.exp(-200)]);
    predictions[1]!.forEach((probability, c) =>
      expect(probability).toBeCloseTo(Math.exp(logSoftmax(LOGITS[0]!)[c]!), 12),
    );
  });

  it('says what is wrong with labels and heads', () => {
    const task = classification({ classes: 3 });
    expect(() => task.count(batch(Float32Array.of(1, 2, 0)))).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: classification: a batch of 3 sequences has 3 labels of type Float32Array.
        hint: pack one class number per sequence with the batch, in an Int32Array]
    `);
    expect(() =>
      tf.tidy(() => task.loss(output(tf.tensor2d([[1, 2]])), batch(Int32Array.of(1, 2, 0)))),
    ).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: classification: the model gives logits of shape [1, 2], 3 per sequence are needed.
        hint: load the model with head: { kind: 'pooled-linear', outputs: 3 } or { kind: 'sequence-classification', outputs: 3 }]
    `);
    expect(() => classification({ classes: 0 })).toThrow(
      'classification: classes must be a positive integer, got 0.',
    );
  });
});

describe('regression', () => {
  const task = regression({ scaler: { mean: 10, deviation: 2 } });

  it('sums squared errors of standardised labels, and predicts in their own unit', async () => {
    const logits = [[0.5], [-1], [2]];
    const loss = tf.tidy(
      () => task.loss(output(tf.tensor2d(logits)), batch(Float32Array.of(0, 1, 2))).dataSync()[0]!,
    );
    expect(loss).toBeCloseTo(0.25 + 4 + 0, 6);
    const tensor = tf.tensor2d(logits);
    expect(await task.predict(output(tensor), batch(Float32Array.of(0, 1, 2)))).toEqual([
      11, 8, 14,
    ]);
    tensor.dispose();
  });

  it('refuses labels that are missing or not finite', () => {
    expect(() =>
      tf.tidy(() =>
        task.loss(output(tf.tensor2d([[1], [1], [1]])), batch(Float32Array.of(0, Number.NaN, 1))),
      ),
    ).toThrow('has a label that is no finite number');
    expect(() =>
      tf.tidy(() => task.loss(output(tf.tensor2d([[1], [1], [1]])), batch(Int32Array.of(0, 1, 1)))),
    ).toThrow('has no float32 labels');
  });
});

describe('scores', () => {
  it('are the metrics of the predictions by name', () => {
    const score = classificationScore({
      metrics: [getMetric('accuracy'), getMetric('log_loss')],
      labels: [1, 0],
      classes: 2,
    });
    expect(score([Float64Array.of(0.25, 0.75), Float64Array.of(0.5, 0.5)])).toEqual({
      accuracy: 1,
      log_loss: expect.closeTo(-(Math.log(0.75) + Math.log(0.5)) / 2, 12),
    });
    expect(regressionScore({ metrics: [getMetric('mae')], labels: [1, 2] })([2, 4])).toEqual({
      mean_absolute_error: 1.5,
    });
  });
});
