import { describe, expect, it } from 'vitest';
import { enterTop, rankTop, type ScoredCheckpoint } from './top-checkpoints.js';

const enterAll = (scores: readonly number[], k: number, direction: 'max' | 'min') =>
  scores.reduce<readonly ScoredCheckpoint[]>(
    (top, score, i) => enterTop(top, { step: i + 1, score }, k, direction),
    [],
  );

describe('the best checkpoints', () => {
  it('are the k best, ranked best first', () => {
    expect(
      rankTop(enterAll([0.1, 0.7, 0.3, 0.5], 3, 'max'), 'max').map(({ step }) => step),
    ).toEqual([2, 4, 3]);
    expect(
      rankTop(enterAll([0.1, 0.7, 0.3, 0.5], 3, 'min'), 'min').map(({ step }) => step),
    ).toEqual([1, 3, 4]);
  });

  it('keep an old one against a newcomer that is only as good, and drop the oldest of equals', () => {
    expect(enterAll([0.5, 0.5, 0.5], 2, 'max').map(({ step }) => step)).toEqual([1, 2]);
    expect(enterAll([0.5, 0.5, 0.6], 2, 'max').map(({ step }) => step)).toEqual([2, 3]);
  });

  it('of equals are those with more of what breaks ties', () => {
    const enter = (ties: readonly (number | undefined)[]) =>
      ties.reduce<readonly ScoredCheckpoint[]>(
        (top, tie, i) => enterTop(top, { step: i + 1, score: 1, tie }, 2, 'min'),
        [],
      );
    expect(rankTop(enter([1, 3, 2]), 'min').map(({ step }) => step)).toEqual([2, 3]);
    expect(rankTop(enter([3, 1, 2]), 'min').map(({ step }) => step)).toEqual([1, 3]);
    expect(enter([undefined, undefined, 5]).map(({ step }) => step)).toEqual([1, 2]);
  });

  it('rank equals by age and never hold a NaN', () => {
    expect(
      rankTop(enterAll([0.5, Number.NaN, 0.6, 0.6], 4, 'max'), 'max').map(({ step }) => step),
    ).toEqual([3, 4, 1]);
    expect(enterAll([0.5], 0, 'max')).toEqual([]);
  });
});
