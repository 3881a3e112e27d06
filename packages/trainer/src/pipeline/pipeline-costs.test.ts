import { expect, it } from 'vitest';
import { pipelineCosts } from './pipeline-costs.js';
import { rankCosts } from '../ranks/rank-costs.js';

/** LoRA of rank 16 on all linear layers of an 8B Llama, 512 tokens of 4,096 numbers in 24 s. */
const plan = {
  trainableParameters: 41_943_040,
  microBatches: 8,
  microBatchSeconds: 24,
  bytesPerSecond: 125e6,
  latencySeconds: 1e-3,
  stateBytes: 4 * 512 * 4096,
};

it('counts the bubble, the states on the wire and the efficiency of stages', () => {
  const costs = pipelineCosts({ ...plan, ranks: 2, stages: 2, largestStage: 0.5 });
  expect(costs.bubble).toBeCloseTo(1 / 9, 12);
  expect(costs.stateBytesPerStep).toBe(8 * plan.stateBytes);
  const { exchangeSeconds } = rankCosts({ ...plan, ranks: 2 });
  // 9 half micro-batches, and a state of 67 ms that fills and one that drains
  const step = 9 * 12 + 2 * (plan.stateBytes / 125e6 + 1e-3) + exchangeSeconds;
  expect(costs.efficiency).toBeCloseTo((8 * 24) / (2 * step), 9);
});

it('gives groups of ranks their micro-batches, and stages in the middle two neighbours', () => {
  const costs = pipelineCosts({ ...plan, ranks: 6, stages: 3, largestStage: 0.375 });
  expect(costs.bubble).toBeCloseTo(2 / 6, 12);
  expect(costs.stateBytesPerStep).toBe(2 * 4 * plan.stateBytes);
});

it('is bound by a link that is slower than a stage', () => {
  const slow = { ...plan, ranks: 2, stages: 2, largestStage: 0.5, bytesPerSecond: 0.1e6 };
  expect(pipelineCosts(slow).efficiency).toBeLessThan(0.15);
});

it('is that of ranks without stages', () => {
  const alone = pipelineCosts({ ...plan, ranks: 4, stages: 1, largestStage: 1 });
  expect(alone.efficiency).toBeCloseTo(rankCosts({ ...plan, ranks: 4 }).efficiency, 12);
  expect(alone.bubble).toBe(0);
});
