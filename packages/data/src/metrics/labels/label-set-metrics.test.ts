import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { getLabelSetMetric } from './get-label-set-metric.js';
import { LABEL_SET_METRICS } from './label-set-metrics.js';
import type { LabelSetInput } from './label-set-metric.js';
import { tuneThresholds } from './tune-thresholds.js';

interface Case extends LabelSetInput {
  readonly name: string;
  readonly expected: Readonly<Record<string, number>>;
}
const { about, cases } = JSON.parse(
  readFileSync(new URL('label-set-metric-cases.json', import.meta.url), 'utf8'),
) as { about: string; cases: Case[] };

describe(`metrics of label sets agree with scikit-learn (${about})`, () => {
  it.each(cases.map((each) => [each.name, each] as const))('%s', (_, { expected, ...input }) => {
    // every metric of the package has a reference value
    expect(Object.keys(expected).sort()).toEqual(LABEL_SET_METRICS.map(({ name }) => name).sort());
    for (const [name, value] of Object.entries(expected))
      expect(Math.abs(getLabelSetMetric(name).compute(input) - value), name).toBeLessThan(1e-12);
  });
});

describe('metrics of label sets', () => {
  it('are found by other spellings, and the nearest name is proposed', () => {
    expect(getLabelSetMetric('F1-Micro').name).toBe('f1_micro');
    expect(getLabelSetMetric('accuracy').name).toBe('subset_accuracy');
    expect(() => getLabelSetMetric('f1_mikro')).toThrow('Did you mean "f1_micro" or');
  });

  it('name lengths and values that do not fit', () => {
    const input = { labelCount: 2, labels: [1, 0], predictions: [1, 0], probabilities: [1, 0] };
    const f1 = getLabelSetMetric('f1_micro');
    expect(() => f1.compute({ ...input, predictions: [1] })).toThrow(
      expect.objectContaining({ code: 'PEFT_METRIC_INPUT_INVALID' }),
    );
    expect(() => f1.compute({ ...input, labels: [1, 2] })).toThrow('is 2, not 0 or 1');
    expect(() => f1.compute({ ...input, labels: [1, 0, 1] })).toThrow('no rows of 2 labels');
    expect(() => f1.compute({ ...input, probabilities: [1, Number.NaN] })).toThrow('is NaN');
  });
});

describe('tuned thresholds', () => {
  it('have the best F1 of each label, as trying all of them finds it', () => {
    for (const { labelCount, labels, probabilities } of cases) {
      const thresholds = tuneThresholds({ labelCount, labels, probabilities });
      const f1 = (c: number, threshold: number): number => {
        let [correct, both] = [0, 0];
        for (let i = c; i < labels.length; i += labelCount) {
          const predicted = probabilities[i]! >= threshold ? 1 : 0;
          correct += predicted * labels[i]!;
          both += predicted + labels[i]!;
        }
        return both === 0 ? 0 : (2 * correct) / both;
      };
      thresholds.forEach((threshold, c) => {
        const tried = Array.from({ length: 1001 }, (_, i) => f1(c, i / 1000));
        expect(f1(c, threshold)).toBeCloseTo(Math.max(...tried), 12);
      });
    }
  });

  it('stay at 0.5 where that is as good as any, and where a label says nothing', () => {
    expect(
      tuneThresholds({
        labelCount: 3,
        labels: [1, 0, 1, 0, 0, 1],
        probabilities: [0.9, 0.8, 0.1, 0.2, 0.7, 0.2],
      }),
    ).toEqual([0.5, 0.5, 0.5]);
    // the positive lies below a half: halfway between 0.3 and 0.1
    expect(tuneThresholds({ labelCount: 1, labels: [1, 0], probabilities: [0.3, 0.1] })).toEqual([
      0.2,
    ]);
  });
});
