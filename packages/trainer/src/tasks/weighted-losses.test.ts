/** Class weights, weights of rows and focus, in the losses of classes, labels and numbers. */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients } from '@peft/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classification } from './classification.js';
import { multiLabelClassification } from './multi-label-classification.js';
import { regression } from './regression.js';
import type { Task } from './task.js';

const LOGITS = [
  [1, 2, 0.5],
  [-1, 0, 3],
  [0.2, 0.1, 0],
];
const LABELS = Int32Array.of(1, 2, 0);
const ROWS = Float32Array.of(1, 0.5, 2);
const CLASSES = [0.5, 1, 3];
const offsetsOf = (rows: number) => Int32Array.from({ length: rows + 1 }, (_, i) => i);
const batchOf = (labels: Int32Array | Float32Array, rows: number, weights?: Float32Array) => ({
  inputIds: new Int32Array(rows),
  offsets: offsetsOf(rows),
  labels,
  weights,
});
type Batch = ReturnType<typeof batchOf>;
const lossTensor = (task: Task<Batch>, logits: Tensor, batch: Batch): Scalar =>
  task.loss(
    { hidden: logits as Tensor2D, offsets: batch.offsets, logits: logits as Tensor2D },
    batch,
  );
const lossOf = (task: Task<Batch>, logits: readonly number[][], batch: Batch): number =>
  tf.tidy(() => lossTensor(task, tf.tensor2d(logits.map((row) => [...row])), batch).dataSync()[0]!);

let before = 0;
beforeEach(async () => {
  await tf.setBackend('cpu');
  before = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors).toBe(before));

describe('weights in classification', () => {
  const plain = batchOf(LABELS, 3);

  it("are PyTorch's: Σ loss / Σ w is CrossEntropyLoss(weight, label_smoothing)", () => {
    const task = classification({ classes: 3, classWeights: CLASSES, labelSmoothing: 0.1 });
    // torch 2.14: the sum, and its mean 0.362930827586
    expect(lossOf(task, LOGITS, plain)).toBeCloseTo(1.6331887241, 5);
    expect(task.count(plain)).toBe(4.5);
    expect(lossOf(task, LOGITS, plain) / task.count(plain)).toBeCloseTo(0.3629308276, 6);
    // rows weighted by 1, 0.5 and 2
    const weighted = batchOf(LABELS, 3, ROWS);
    expect(lossOf(task, LOGITS, weighted)).toBeCloseTo(2.0804698697, 5);
    expect(task.count(weighted)).toBe(3.5);
  });

  it('are joined by a focus: (1 − p)² times the weighted loss', () => {
    const task = classification({ classes: 3, classWeights: CLASSES, focalGamma: 2 });
    // torch 2.14: ((1 − softmax[y])² · cross_entropy(weight)).sum()
    expect(lossOf(task, LOGITS, plain)).toBeCloseTo(0.2655100192, 6);
  });

  it('leave out rows without a label, and rows that weigh nothing', () => {
    const task = classification({ classes: 3, classWeights: CLASSES, focalGamma: 0.5 });
    const some = batchOf(Int32Array.of(1, -100, 0), 3, Float32Array.of(1, 1, 0));
    expect(task.count(some)).toBe(1);
    expect(lossOf(task, LOGITS, some)).toBeCloseTo(
      lossOf(task, [LOGITS[0]!], batchOf(Int32Array.of(1), 1)),
      6,
    );
  });

  it('give gradients that agree with central differences', () => {
    const task = classification({
      classes: 3,
      classWeights: CLASSES,
      labelSmoothing: 0.1,
      focalGamma: 2,
    });
    tf.tidy(() =>
      expectGradients((z) => lossTensor(task, z, batchOf(LABELS, 3, ROWS)), [tf.tensor2d(LOGITS)]),
    );
  });
});

describe('weights of rows with several labels', () => {
  const logits = [
    [-2.5, 0, 1.25],
    [4, -0.5, 0.75],
  ];
  const labels = Float32Array.of(1, 0, 1, 0, 0, 1);
  const task = multiLabelClassification({ labels: 3, focalGamma: 2 });

  it("are in loss and count; the focus is torchvision's sigmoid_focal_loss without its α", () => {
    // torch 2.14: ((1 − p_t)² · bce).sum() / 3, with rows weighted by 0.5 and 2
    expect(lossOf(task, logits, batchOf(labels, 2))).toBeCloseTo(2.1235171122, 5);
    const weighted = batchOf(labels, 2, Float32Array.of(0.5, 2));
    expect(lossOf(task, logits, weighted)).toBeCloseTo(3.0529085223, 5);
    expect(task.count(weighted)).toBe(2.5);
    tf.tidy(() => expectGradients((z) => lossTensor(task, z, weighted), [tf.tensor2d(logits)]));
  });
});

it('weights of numbers are in loss and count', () => {
  const weighted = batchOf(Float32Array.of(1, 0, 2), 3, ROWS);
  const logits = [[0.5], [1], [3]];
  expect(lossOf(regression(), logits, weighted)).toBeCloseTo(0.25 + 0.5 * 1 + 2 * 1, 6);
  expect(regression().count(weighted)).toBe(3.5);
});

it('any split of a batch gives the same sum and the same count', () => {
  const parts: readonly (readonly number[])[] = [[0, 2], [1]];
  const take = (rows: readonly number[]) => ({
    batch: batchOf(
      LABELS.filter((_, i) => rows.includes(i)),
      rows.length,
      ROWS.filter((_, i) => rows.includes(i)),
    ),
    logits: rows.map((row) => LOGITS[row]!),
  });
  const task = classification({ classes: 3, classWeights: CLASSES, focalGamma: 1 });
  const sum = (of: (part: ReturnType<typeof take>) => number): number =>
    parts.reduce((total, rows) => total + of(take(rows)), 0);
  const whole = take([0, 1, 2]);
  expect(sum(({ batch, logits }) => lossOf(task, logits, batch))).toBeCloseTo(
    lossOf(task, whole.logits, whole.batch),
    6,
  );
  expect(sum(({ batch }) => task.count(batch))).toBe(task.count(whole.batch));
});

it('weights that do not fit are named', () => {
  const task = classification({ classes: 3 });
  expect(() => task.count(batchOf(LABELS, 3, Float32Array.of(1, 1)))).toThrow(
    'a batch of 3 sequences has 2 weights',
  );
  expect(() => task.count(batchOf(LABELS, 3, Float32Array.of(1, -1, 1)))).toThrow(
    'a batch of 3 sequences has the weight -1',
  );
  expect(() => classification({ classes: 3, classWeights: [1, 0, 1] })).toThrow(
    'classWeights must be 3 numbers above 0, got 1, 0, 1',
  );
  expect(() => classification({ classes: 3, focalGamma: -1 })).toThrow(
    expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
  );
});
