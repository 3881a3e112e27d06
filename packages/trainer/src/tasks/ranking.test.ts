import * as tf from '@tensorflow/tfjs';
import { getRankingMetric } from '@peft/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ranking, type RankingLoss } from './ranking.js';
import { rankingScore } from '../validation/scores.js';

const SCORES = [0.5, -1, 2, 1.5, 1, -0.5];
const RELEVANCES = Float32Array.of(1, 0, 0.5, 0, 1, 0);
/** Pairs of some queries: the first has documents 0 … 3, the second 4 and 5. */
const batch = (pairs: readonly number[], exampleOffsets: readonly number[]) => ({
  inputIds: new Int32Array(pairs.length),
  offsets: Int32Array.from({ length: pairs.length + 1 }, (_, i) => i),
  labels: Float32Array.from(pairs, (pair) => RELEVANCES[pair]!),
  exampleOffsets: Int32Array.from(exampleOffsets),
});
const WHOLE = batch([0, 1, 2, 3, 4, 5], [0, 4, 6]);
const output = (pairs: readonly number[]) => {
  const logits = tf.tensor2d(pairs.map((pair) => [SCORES[pair]!]));
  return { hidden: logits, offsets: batch(pairs, []).offsets, logits };
};
const lossOf = (loss: RankingLoss, pairs = [0, 1, 2, 3, 4, 5], of = WHOLE): number =>
  tf.tidy(() => ranking({ loss }).loss(output(pairs), of).dataSync()[0]!);

let before = 0;
beforeEach(async () => {
  await tf.setBackend('cpu');
  before = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors).toBe(before));

describe('ranking', () => {
  it('sums what each loss is defined to', () => {
    // torch 2.14: BCEWithLogitsLoss(reduction='sum')
    expect(lossOf('pointwise')).toBeCloseTo(4.4030186324, 5);
    // MarginRankingLoss(margin=1, reduction='sum') over the pairs 0>1 0>2 0>3 2>1 2>3 and 4>5
    expect(lossOf('margin')).toBeCloseTo(0 + 2.5 + 2 + 0 + 0.5 + 0, 5);
    // softmax cross entropy with the targets (2/3, 0, 1/3, 0) and (1, 0)
    expect(lossOf('list')).toBeCloseTo(1.8323913352, 5);
  });

  it('counts pairs, comparisons and queries, and is the same however queries are split', () => {
    const parts = [batch([0, 1, 2, 3], [0, 4]), batch([4, 5], [0, 2])];
    for (const [loss, count] of [
      ['pointwise', 6],
      ['margin', 6],
      ['list', 2],
    ] as const) {
      const task = ranking({ loss });
      expect(task.count(WHOLE)).toBe(count);
      expect(task.count(parts[0]!) + task.count(parts[1]!)).toBe(count);
      expect(lossOf(loss, [0, 1, 2, 3], parts[0]) + lossOf(loss, [4, 5], parts[1])).toBeCloseTo(
        lossOf(loss),
        5,
      );
    }
  });

  it('costs nothing where there is nothing to compare', () => {
    const alike = batch([1, 3], [0, 2]);
    for (const loss of ['margin', 'list'] as const) {
      expect(ranking({ loss }).count(alike)).toBe(0);
      expect(lossOf(loss, [1, 3], alike)).toBe(0);
    }
  });

  it('predicts the scores of each query, which metrics of rankings score', async () => {
    const of = output([0, 1, 2, 3, 4, 5]);
    const predictions = await ranking().predict(of, WHOLE);
    of.logits.dispose();
    expect(predictions.map((row) => [...row])).toEqual([SCORES.slice(0, 4), SCORES.slice(4)]);
    const score = rankingScore({
      metrics: [getRankingMetric('mrr'), getRankingMetric('map')],
      relevances: [[...RELEVANCES.slice(0, 4)], [1, 0]],
    });
    // the first query's best document is relevant (2), its other one (0) is third
    expect(score(predictions)).toEqual({
      'mrr@10': 1,
      map: expect.closeTo((1 / 2 + (1 / 2) * (2 / 3) + 1) / 2, 12),
    });
  });

  it('says what is wrong with settings and data', () => {
    expect(() => ranking({ margin: 0 })).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
    expect(() => ranking().count({ ...WHOLE, labels: RELEVANCES.slice(1) })).toThrow(
      'a batch of 6 pairs has 5 relevances',
    );
  });
});
