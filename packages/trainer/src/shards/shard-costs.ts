/** What it costs that ranks share a model's blocks, before it is started. */
import { rankCosts, type RankCosts, type RankPlan } from '../ranks/rank-costs.js';

/** A run whose ranks share the frozen matrices of the blocks. */
export interface ShardPlan extends RankPlan {
  /** Of the model. */
  readonly blocks: number;
  /** Of all its shared matrices, as they are kept. */
  readonly sharedBytes: number;
}

/** What a step of a {@link ShardPlan} costs. */
export interface ShardCosts extends RankCosts {
  /** What each rank sends, and receives, of blocks in a step. */
  readonly blockBytesPerStep: number;
}

/** Of the passes over a block the backward one takes two thirds. */
const FORWARD = 1 / 3;

/**
 * With L blocks of B bytes in all, N ranks, t seconds for a micro-batch and m micro-batches of the
 * busiest rank, a block arrives in c = (N − 1)/N · B/L / bandwidth + (N − 1) · latency while the one
 * before is computed, the last one stays between its two passes, and a step takes
 *
 *   m·(c + (L − 1)·max(t/3L, c) + t/3L + (L − 1)·max(2t/3L, c) + 2t/3L) + e
 *
 * where e is the exchange of gradients of `rankCosts`.
 */
export function shardCosts({ blocks, sharedBytes, ...plan }: ShardPlan): ShardCosts {
  const { ranks, microBatches, microBatchSeconds, bytesPerSecond, latencySeconds } = plan;
  const costs = rankCosts(plan);
  const own = costs.largestShare * microBatches;
  const arrivingBytes = ((ranks - 1) / ranks) * (sharedBytes / blocks);
  const arriving = arrivingBytes / bytesPerSecond + (ranks - 1) * latencySeconds;
  const pass = (share: number): number => {
    const block = (share * microBatchSeconds) / blocks;
    return block + (blocks - 1) * Math.max(block, arriving);
  };
  const stepSeconds = own * (arriving + pass(FORWARD) + pass(1 - FORWARD)) + costs.exchangeSeconds;
  return {
    ...costs,
    blockBytesPerStep: own * (2 * blocks - 1) * arrivingBytes,
    efficiency: (microBatches * microBatchSeconds) / (ranks * stepSeconds),
  };
}
