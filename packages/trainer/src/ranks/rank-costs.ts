/** What it costs to share a run among ranks, before it is started. */
import { mostPartialSums, sumTree } from '../step/sum-tree.js';
import { dealSum, sharesOf } from './rank-shares.js';

/** A run, its ranks, and the link between them. */
export interface RankPlan {
  readonly trainableParameters: number;
  readonly ranks: number;
  /** Of an optimiser step, of the same tokens each. */
  readonly microBatches: number;
  /** Of one micro-batch on one rank. */
  readonly microBatchSeconds: number;
  readonly bytesPerSecond: number;
  /** Of a message. */
  readonly latencySeconds: number;
}

/** What a step of a {@link RankPlan} costs. */
export interface RankCosts {
  /** What each rank sends, and receives, in a step: 2·(N − 1)/N gradients in float32. */
  readonly bytesPerStep: number;
  /** While nothing is computed: the exchange begins when the last micro-batch has ended. */
  readonly exchangeSeconds: number;
  /** Of the micro-batches, what the busiest rank computes; 1/N at best. */
  readonly largestShare: number;
  /** Throughput over N times that of one rank. */
  readonly efficiency: number;
}

/** A gradient to send and one to receive into. */
const EXCHANGE_COPIES = 2;

/**
 * How many times the gradients lie in memory at once: partial sums of the micro-batches, and what
 * ranks exchange.
 */
export const gradientCopies = (microBatches: number, ranks = 1): number =>
  mostPartialSums(microBatches) + (ranks > 1 ? EXCHANGE_COPIES : 0);

/**
 * With M micro-batches of t seconds, N ranks and a busiest share s, a step takes s·M·t + e seconds,
 * where e = 2·(N − 1)/N · 4·P / bandwidth + (N + 2·log₂ N) · latency, and the efficiency is
 * M·t / (N·(s·M·t + e)).
 */
export function rankCosts({
  trainableParameters,
  ranks,
  microBatches,
  microBatchSeconds,
  bytesPerSecond,
  latencySeconds,
}: RankPlan): RankCosts {
  const tree = sumTree(new Array<number>(microBatches).fill(1), 'pairwise');
  const shares = sharesOf(dealSum(tree, ranks)).map(({ node }) => node.tokens / microBatches);
  const largestShare = Math.max(...shares);
  const bytesPerStep = (2 * (ranks - 1) * 4 * trainableParameters) / ranks;
  const messages = ranks === 1 ? 0 : ranks + 2 * Math.log2(ranks);
  const exchangeSeconds = bytesPerStep / bytesPerSecond + messages * latencySeconds;
  const alone = microBatches * microBatchSeconds;
  return {
    bytesPerStep,
    exchangeSeconds,
    largestShare,
    efficiency: alone / (ranks * (largestShare * alone + exchangeSeconds)),
  };
}
