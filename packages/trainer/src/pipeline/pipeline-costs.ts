/** What it costs to cut a model into stages, before it is started. */
import { dealSum, sharesOf } from '../ranks/rank-shares.js';
import { rankCosts, type RankPlan } from '../ranks/rank-costs.js';
import { sumTree } from '../step/sum-tree.js';

/** A run whose model is cut. */
export interface PipelinePlan extends RankPlan {
  readonly stages: number;
  /** Of the stage with the most blocks, its share of all: what it takes of a micro-batch. */
  readonly largestStage: number;
  /** Of the state of a micro-batch, which goes to the next stage, and its gradient back. */
  readonly stateBytes: number;
}

/** What a step of a {@link PipelinePlan} costs. */
export interface PipelineCosts {
  /** What the busiest rank sends of states and their gradients in a step. */
  readonly stateBytesPerStep: number;
  /** What each rank sends of the adapter's gradients. */
  readonly bytesPerStep: number;
  readonly exchangeSeconds: number;
  /** The share of a step in which a stage waits for the first or last micro-batches. */
  readonly bubble: number;
  /** Throughput over as many times that of one rank that had the whole model. */
  readonly efficiency: number;
}

/**
 * With S stages, m micro-batches of the busiest group, t seconds for one on the whole model, a
 * largest stage of the share b, and c seconds for a state, a step takes
 *
 *   (m + S − 1)·max(b·t, c) + 2·(S − 1)·c + e
 *
 * where e is the exchange of gradients of `rankCosts`, all of it between stages, and what it leaves
 * after the last backward pass without them: states travel while others are computed, except those
 * that fill and drain the pipeline. The bubble is (S − 1) / (m + S − 1), the efficiency
 * M·t / (N·step).
 */
export function pipelineCosts({
  stages,
  largestStage,
  stateBytes,
  ...plan
}: PipelinePlan): PipelineCosts {
  const { ranks, microBatches, microBatchSeconds, bytesPerSecond, latencySeconds } = plan;
  const { bytesPerStep, exchangeSeconds, waitSeconds } = rankCosts(plan);
  const tree = sumTree(new Array<number>(microBatches).fill(1), 'pairwise');
  const own = Math.max(...sharesOf(dealSum(tree, ranks / stages)).map(({ node }) => node.tokens));
  const waits = stages - 1;
  const stateSeconds = stateBytes / bytesPerSecond + latencySeconds;
  const stepSeconds =
    (own + waits) * Math.max(largestStage * microBatchSeconds, waits > 0 ? stateSeconds : 0) +
    2 * waits * stateSeconds +
    (waits > 0 ? exchangeSeconds : waitSeconds);
  return {
    // a stage in the middle sends forwards and backwards
    stateBytesPerStep: own * stateBytes * Math.min(2, waits),
    bytesPerStep,
    exchangeSeconds,
    bubble: waits / (own + waits),
    efficiency: (microBatches * microBatchSeconds) / (ranks * stepSeconds),
  };
}
