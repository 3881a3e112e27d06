import { expect, it } from 'vitest';
import { binaryCurves, classReport } from './class-report.js';

it('a report tells what was taken for what, and the surest mistakes', () => {
  const report = classReport({
    labels: ['a', 'b', 'c'],
    actual: [0, 0, 1, 2, 2],
    probabilities: [
      [0.8, 0.1, 0.1],
      [0.4, 0.5, 0.1], // a taken for b
      [0.1, 0.8, 0.1],
      [0.9, 0.05, 0.05], // c taken for a
      [0.1, 0.2, 0.7],
    ],
    textOf: (row) => `text ${row}`,
  });
  expect(report.confusion).toEqual([
    [1, 1, 0],
    [0, 1, 0],
    [1, 0, 1],
  ]);
  // of a: 1 of 2 that were said, 1 of 2 that are; of b: 1 of 2, 1 of 1, F1 = 2·1/(2+1)
  expect(report.perClass).toEqual([
    { label: 'a', precision: 0.5, recall: 0.5, f1: 0.5, rows: 2 },
    { label: 'b', precision: 0.5, recall: 1, f1: 2 / 3, rows: 1 },
    { label: 'c', precision: 1, recall: 0.5, f1: 2 / 3, rows: 2 },
  ]);
  expect(report.mistakes).toEqual([
    { text: 'text 3', actual: 'c', predicted: 'a', probability: 0.9 },
    { text: 'text 1', actual: 'a', predicted: 'b', probability: 0.5 },
  ]);
  expect(report.curves).toBeUndefined();
});

it('ROC counts ties half, and calibration compares probabilities with shares', () => {
  // pairs of a positive and a negative: 0.9 > 0.5, 0.9 > 0.1, 0.5 = 0.5, 0.5 > 0.1 → 3.5 of 4
  const { area, roc, calibration } = binaryCurves('yes', [1, 1, 0, 0], [0.9, 0.5, 0.5, 0.1]);
  expect(area).toBeCloseTo(3.5 / 4, 12);
  expect(roc).toEqual([
    { falsePositives: 0, truePositives: 0 },
    { falsePositives: 0, truePositives: 0.5 },
    { falsePositives: 0.5, truePositives: 1 },
    { falsePositives: 1, truePositives: 1 },
  ]);
  expect(calibration).toEqual([
    { probability: 0.1, share: 0, rows: 1 },
    { probability: 0.5, share: 0.5, rows: 2 },
    { probability: 0.9, share: 1, rows: 1 },
  ]);
});

it('rows of one class alone have no curves: there is nothing to tell them from', () => {
  const of = (...actual: number[]) =>
    classReport({
      labels: ['no', 'yes'],
      actual,
      probabilities: [
        [0.4, 0.6],
        [0.2, 0.8],
      ],
      textOf: String,
    });
  expect(of(1, 1).curves).toBeUndefined();
  expect(of(0, 1).curves).toMatchObject({ positive: 'yes', area: 1 });
});
