import { expect, it } from 'vitest';
import { rankCosts } from '../ranks/rank-costs.js';
import { shardCosts } from './shard-costs.js';

/** LoRA of rank 16 on all linear layers of an 8B Llama in NF4, 512 tokens in 24 s. */
const plan = {
  trainableParameters: 41_943_040,
  ranks: 4,
  microBatches: 8,
  microBatchSeconds: 24,
  bytesPerSecond: 125e6,
  latencySeconds: 0,
  blocks: 32,
  sharedBytes: 3.6e9,
};

it('hides what arrives behind the block before where that takes longer', () => {
  const fast = { ...plan, bytesPerSecond: 1.25e9 };
  const { efficiency, blockBytesPerStep } = shardCosts(fast);
  const arriving = 0.75 * (3.6e9 / 32);
  expect(blockBytesPerStep).toBe(2 * 63 * arriving);
  const step = 2 * (24 + arriving / 1.25e9) + rankCosts(fast).exchangeSeconds;
  expect(efficiency).toBeCloseTo(192 / (4 * step), 9);
});

it('is bound by a link that is slower than the blocks', () => {
  const arriving = (0.75 * (3.6e9 / 32)) / 125e6;
  // a forward pass of a block takes 0.25 s, a backward one 0.5 s, its bytes 0.675 s
  const round = arriving + 0.25 + 31 * arriving + 0.5 + 31 * arriving;
  const step = 2 * round + rankCosts(plan).exchangeSeconds;
  expect(shardCosts(plan).efficiency).toBeCloseTo(192 / (4 * step), 9);
});

it('of one rank costs nothing', () => {
  expect(shardCosts({ ...plan, ranks: 1 })).toMatchObject({ efficiency: 1, blockBytesPerStep: 0 });
});
