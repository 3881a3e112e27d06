import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RankedList } from './ranking-metric.js';
import { getRankingMetric } from './ranking-metrics.js';

interface Case {
  readonly name: string;
  readonly lists: readonly RankedList[];
  readonly expected: Readonly<Record<string, number>>;
}
const { about, cases } = JSON.parse(
  readFileSync(new URL('ranking-metric-cases.json', import.meta.url), 'utf8'),
) as { about: string; cases: Case[] };

describe(`metrics of rankings agree with scikit-learn (${about})`, () => {
  it.each(cases.map((each) => [each.name, each] as const))('%s', (_, { lists, expected }) => {
    for (const [name, value] of Object.entries(expected))
      expect(Math.abs(getRankingMetric(name).compute(lists) - value), name).toBeLessThan(1e-12);
  });
});

describe('the reciprocal rank', () => {
  it('is that of the first relevant document, behind others of its score, and 0 beyond k', () => {
    const lists = [
      { relevances: [0, 1, 0], scores: [0.9, 0.5, 0.1] }, // second
      { relevances: [1, 0], scores: [0.7, 0.2] }, // first
      { relevances: [1, 0, 0], scores: [0.5, 0.5, 0.5] }, // third: all alike
      { relevances: [0, 0], scores: [1, 0] },
    ];
    expect(getRankingMetric('MRR').name).toBe('mrr@10');
    expect(getRankingMetric('mrr@10').compute(lists)).toBeCloseTo((1 / 2 + 1 + 1 / 3) / 4, 15);
    expect(getRankingMetric('mrr@2').compute(lists)).toBeCloseTo((1 / 2 + 1) / 4, 15);
    expect(getRankingMetric('mrr@1').compute(lists)).toBe(1 / 4);
  });
});

it('what has no ranking is named', () => {
  expect(() => getRankingMetric('ndgc@10')).toThrow('Did you mean "ndcg@10" or');
  expect(() => getRankingMetric('map').compute([{ relevances: [0, 0], scores: [1, 2] }])).toThrow(
    expect.objectContaining({ code: 'PEFT_METRIC_UNDEFINED' }),
  );
  expect(() => getRankingMetric('map').compute([{ relevances: [0], scores: [1, 2] }])).toThrow(
    'query 0 has 1 relevances and 2 scores',
  );
});
