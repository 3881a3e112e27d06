import { expect, it } from 'vitest';
import { gradientCopies, rankCosts } from './rank-costs.js';

/** LoRA of rank 16 on all linear layers of an 8B Llama, 512 tokens in 24 s, over 1 Gbit/s. */
const plan = {
  trainableParameters: 41_943_040,
  microBatches: 8,
  microBatchSeconds: 24,
  bytesPerSecond: 125e6,
  latencySeconds: 1e-3,
};

it('counts bytes, waiting and the efficiency of ranks', () => {
  const costs = rankCosts({ ...plan, ranks: 4 });
  expect(costs.bytesPerStep).toBe(1.5 * 4 * 41_943_040);
  expect(costs.exchangeSeconds).toBeCloseTo(251.66 / 125 + 8e-3, 3);
  expect(costs.largestShare).toBe(0.25);
  // 48 s of computing and 2.02 s of waiting
  expect(costs.efficiency).toBeCloseTo(48 / 50.02, 3);
});

it('has nothing to exchange on one rank, and idle ones where there is too little to share', () => {
  expect(rankCosts({ ...plan, ranks: 1 })).toEqual({
    bytesPerStep: 0,
    exchangeSeconds: 0,
    largestShare: 1,
    efficiency: 1,
  });
  const idle = rankCosts({ ...plan, microBatches: 2, ranks: 4 });
  expect(idle.largestShare).toBe(0.5);
  expect(idle.efficiency).toBeLessThan(0.5);
});

it('counts the copies of gradients', () => {
  expect([gradientCopies(1), gradientCopies(8), gradientCopies(8, 4)]).toEqual([1, 4, 6]);
});
