/** What it costs to share a run among ranks, before it is started. */
import { defaultBucketBytes } from './gradient-buckets.js';
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
  /** On the link. */
  readonly exchangeSeconds: number;
  /** Of these, what is left when the last backward pass is over. */
  readonly waitSeconds: number;
  /** Of the micro-batches, what the busiest rank computes; 1/N at best. */
  readonly largestShare: number;
  /** Throughput over N times that of one rank. */
  readonly efficiency: number;
}

/** Of a micro-batch's time its backward pass takes two thirds. */
const BACKWARD = 2 / 3;

/** A gradient to send and one to receive into. */
const EXCHANGE_COPIES = 2;

/**
 * How many times the gradients lie in memory at once: partial sums of the micro-batches, and what
 * ranks exchange.
 */
export const gradientCopies = (microBatches: number, ranks = 1): number =>
  mostPartialSums(microBatches) + (ranks > 1 ? EXCHANGE_COPIES : 0);

/**
 * With M micro-batches of t seconds, N ranks, a busiest share s and B buckets of gradients, the link
 * is busy for e = 2·(N − 1)/N · 4·P / bandwidth + (B·N + 2·log₂ N) · latency. Buckets leave evenly over
 * the last backward pass, 2t/3: when it is over, w = max(e/B, e − 2t/3 · (B − 1)/B) is left, a step
 * takes s·M·t + w seconds, and the efficiency is M·t / (N·(s·M·t + w)).
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
  const buckets = Math.max(1, Math.ceil((4 * trainableParameters) / defaultBucketBytes(ranks)));
  const messages = ranks === 1 ? 0 : buckets * ranks + 2 * Math.log2(ranks);
  const exchangeSeconds = bytesPerStep / bytesPerSecond + messages * latencySeconds;
  const hidden = (BACKWARD * microBatchSeconds * (buckets - 1)) / buckets;
  const waitSeconds = Math.max(exchangeSeconds / buckets, exchangeSeconds - hidden);
  const alone = microBatches * microBatchSeconds;
  return {
    bytesPerStep,
    exchangeSeconds,
    waitSeconds,
    largestShare,
    efficiency: alone / (ranks * (largestShare * alone + waitSeconds)),
  };
}
