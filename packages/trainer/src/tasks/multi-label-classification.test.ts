import * as tf from '@tensorflow/tfjs';
import { getLabelSetMetric } from '@peft/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { multiLabelClassification } from './multi-label-classification.js';
import { labelSetScore } from '../validation/scores.js';

const batch = (labels?: Float32Array | Int32Array) => ({
  inputIds: Int32Array.of(1, 1),
  offsets: Int32Array.of(0, 1, 2),
  labels,
});
const LOGITS = [
  [-2.5, 0, 1.25],
  [4, -0.5, 0.75],
];
const LABELS = Float32Array.of(1, 0, 1, 0, 0, 1);
const lossOf = (task: ReturnType<typeof multiLabelClassification>, labels = LABELS): number =>
  tf.tidy(() => {
    const logits = tf.tensor2d(LOGITS);
    return task
      .loss({ hidden: logits, offsets: Int32Array.of(0, 1, 2), logits }, batch(labels))
      .dataSync()[0]!;
  });

let before = 0;
beforeEach(async () => {
  await tf.setBackend('cpu');
  before = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors).toBe(before));

describe('multi-label classification', () => {
  it("sums PyTorch's BCEWithLogitsLoss over the sequences", () => {
    // torch 2.14: BCEWithLogitsLoss(pos_weight=…)(z, y) · 2 sequences
    expect(lossOf(multiLabelClassification({ labels: 3 }))).toBeCloseTo(2.8010213048, 5);
    expect(
      lossOf(multiLabelClassification({ labels: 3, positiveWeights: [0.5, 1, 3] })),
    ).toBeCloseTo(2.7970730741, 5);
    // the same on y·0.8 + 0.1
    expect(lossOf(multiLabelClassification({ labels: 3, labelSmoothing: 0.2 }))).toBeCloseTo(
      2.6676879715,
      5,
    );
  });

  it('predicts the probability of each label', async () => {
    const logits = tf.tensor2d([[0, 800, -800]]);
    const [row] = await multiLabelClassification({ labels: 3 }).predict(
      { hidden: logits, offsets: Int32Array.of(0, 1), logits },
      batch(),
    );
    logits.dispose();
    expect([...row!]).toEqual([0.5, 1, 0]);
  });

  it('says what is wrong with labels and weights', () => {
    const task = multiLabelClassification({ labels: 3 });
    expect(() => lossOf(task, Float32Array.of(1, 0))).toThrow(
      'a batch of 2 sequences has 2 labels of type Float32Array, 6 are needed',
    );
    expect(() => lossOf(task, Float32Array.of(1, 0, 1, 0, 0, 2))).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_RANGE' }),
    );
    expect(() => multiLabelClassification({ labels: 2, positiveWeights: [1, 0] })).toThrow(
      'positiveWeights must be 2 numbers above 0, got 1, 0',
    );
  });

  it('is scored with a threshold per label', () => {
    const score = labelSetScore({
      metrics: [getLabelSetMetric('subset_accuracy'), getLabelSetMetric('average_precision')],
      labels: Float32Array.of(1, 0, 0, 1),
      thresholds: [0.2, 0.6],
    });
    expect(score([Float64Array.of(0.3, 0.5), Float64Array.of(0.1, 0.7)])).toEqual({
      subset_accuracy: 1,
      average_precision_macro: 1,
    });
  });
});
