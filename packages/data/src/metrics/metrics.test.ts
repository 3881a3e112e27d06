import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { defaultMetric, getMetric, METRICS } from './get-metric.js';
import type { Metric } from './metric.js';
import { mostProbable, scoreProbabilities } from './classes/score-probabilities.js';

interface Case {
  readonly name: string;
  readonly kind: Metric['needs'];
  readonly classCount?: number;
  readonly labels: number[];
  readonly predictions: number[];
  readonly expected: Record<string, number>;
}
const { about, cases } = JSON.parse(
  readFileSync(new URL('metric-cases.json', import.meta.url), 'utf8'),
) as { about: string; cases: Case[] };

describe(`metrics agree with scikit-learn (${about})`, () => {
  for (const { name, kind, expected, ...input } of cases) {
    for (const [metric, value] of Object.entries(expected)) {
      it(`${metric}: ${name}`, () => {
        expect(getMetric(metric).needs).toBe(kind);
        expect(Math.abs(getMetric(metric).compute(input) - value)).toBeLessThan(
          1e-12 * Math.max(1, Math.abs(value)) * (metric === 'log_loss' ? 10 : 1),
        );
      });
    }
  }

  it('every metric of the package has a reference value', () => {
    const covered = new Set(cases.flatMap(({ expected }) => Object.keys(expected)));
    expect(METRICS.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe('metrics', () => {
  it('clip float32 probabilities at the epsilon of float32', () => {
    // −log 2⁻²³ = 23·log 2
    expect(
      getMetric('log_loss').compute({ labels: [1], predictions: Float32Array.of(1, 0) }),
    ).toBeCloseTo(23 * Math.log(2), 12);
    expect(getMetric('log_loss').compute({ labels: [1], predictions: [1, 0] })).toBeCloseTo(
      52 * Math.log(2),
      12,
    );
  });

  it('count the positive class that was chosen', () => {
    const input = { labels: [0, 0, 1, 1], predictions: [0, 1, 1, 1] };
    expect(getMetric('precision').compute(input)).toBeCloseTo(2 / 3, 15);
    expect(getMetric('precision').compute({ ...input, positiveClass: 0 })).toBe(1);
    const probabilities = { labels: [0, 1], predictions: [0.1, 0.9, 0.4, 0.6] };
    expect(getMetric('roc_auc').compute(probabilities)).toBe(0);
    // the mirror image: P(0) is lower for the row of class 0
    expect(getMetric('roc_auc').compute({ ...probabilities, positiveClass: 0 })).toBe(0);
  });

  it('turn probabilities into classes for metrics of classes, the first of equal ones', () => {
    expect([...mostProbable([0.5, 0.5, 0.1, 0.9], 2)]).toEqual([0, 1]);
    expect(
      scoreProbabilities(getMetric('accuracy'), {
        labels: [0, 1],
        probabilities: [0.5, 0.5, 0.1, 0.9],
        classCount: 2,
      }),
    ).toBe(1);
    expect(() =>
      scoreProbabilities(getMetric('rmse'), { labels: [0], probabilities: [1, 0], classCount: 2 }),
    ).toThrowError(/metric of numbers/);
  });

  it('have the names and aliases that people use', () => {
    for (const [alias, name] of [
      ['acc', 'accuracy'],
      ['auc', 'roc_auc'],
      ['RMSE', 'root_mean_squared_error'],
      ['log-loss', 'log_loss'],
      ['spearman', 'spearmanr'],
      ['roc_auc_ovo_macro', 'roc_auc_ovo'],
    ] as const) {
      expect(getMetric(alias).name).toBe(name);
    }
    expect(new Set(METRICS.flatMap(({ name, aliases = [] }) => [name, ...aliases])).size).toBe(
      METRICS.reduce((sum, { aliases = [] }) => sum + 1 + aliases.length, 0),
    );
  });

  it('name the nearest for an unknown one', () => {
    expect(() => getMetric('acuracy')).toThrowError(
      expect.objectContaining({
        code: 'PEFT_METRIC_UNKNOWN',
        message: expect.stringContaining('Did you mean "accuracy"'),
      }),
    );
  });

  it('are joined by those of others', () => {
    const mine: Metric = {
      name: 'error_rate',
      greaterIsBetter: false,
      optimum: 0,
      needs: 'classes',
      compute: (input) => 1 - getMetric('acc').compute(input),
    };
    expect(
      getMetric('error_rate', [...METRICS, mine]).compute({ labels: [0, 1], predictions: [0, 0] }),
    ).toBe(0.5);
  });

  it('are chosen by the kind of problem', () => {
    expect(
      (['binary', 'multiclass', 'regression'] as const).map((type) => defaultMetric(type).name),
    ).toEqual(['roc_auc', 'accuracy', 'root_mean_squared_error']);
  });

  it.each([
    ['roc_auc', { labels: [1, 1], predictions: [0, 1, 0, 1] }, 'PEFT_METRIC_UNDEFINED'],
    [
      'roc_auc',
      { labels: [0, 2], predictions: [1, 0, 0, 0, 0, 1], classCount: 3 },
      'PEFT_METRIC_UNDEFINED',
    ],
    ['f1', { labels: [0, 1, 2], predictions: [0, 1, 2] }, 'PEFT_METRIC_UNDEFINED'],
    ['r2', { labels: [1], predictions: [1] }, 'PEFT_METRIC_UNDEFINED'],
    ['pearsonr', { labels: [1, 1], predictions: [1, 2] }, 'PEFT_METRIC_UNDEFINED'],
    ['accuracy', { labels: [], predictions: [] }, 'PEFT_METRIC_INPUT_INVALID'],
    ['accuracy', { labels: [0, 1], predictions: [0] }, 'PEFT_METRIC_INPUT_INVALID'],
    ['log_loss', { labels: [0], predictions: [Number.NaN, 1] }, 'PEFT_METRIC_INPUT_INVALID'],
    ['log_loss', { labels: [2], predictions: [0.5, 0.5] }, 'PEFT_METRIC_INPUT_INVALID'],
  ])('%s refuses what has no answer', (name, input, code) => {
    expect(() => getMetric(name).compute(input)).toThrowError(expect.objectContaining({ code }));
  });
});
