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
  // 20 buckets of 8 MiB
  expect(costs.exchangeSeconds).toBeCloseTo(251.66 / 125 + 84e-3, 3);
  expect(costs.largestShare).toBe(0.25);
  // 48 s of computing, the last 16 of them beside the exchange, and the last bucket
  expect(costs.waitSeconds).toBeCloseTo(costs.exchangeSeconds / 20, 9);
  expect(costs.efficiency).toBeCloseTo(48 / 48.105, 3);
});

it('waits for what does not go out during the last backward pass', () => {
  const fast = rankCosts({ ...plan, ranks: 4, microBatchSeconds: 0.3 });
  expect(fast.waitSeconds).toBeCloseTo(fast.exchangeSeconds - 0.2 * (19 / 20), 9);
  // one bucket, which is complete at the end
  const small = rankCosts({ ...plan, ranks: 4, trainableParameters: 1e6 });
  expect(small.waitSeconds).toBe(small.exchangeSeconds);
});

it('has nothing to exchange on one rank, and idle ones where there is too little to share', () => {
  expect(rankCosts({ ...plan, ranks: 1 })).toEqual({
    bytesPerStep: 0,
    exchangeSeconds: 0,
    waitSeconds: 0,
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
