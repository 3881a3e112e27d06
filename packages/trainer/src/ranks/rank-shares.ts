/** Which rank computes which part of a step's sum. */
import type { SumNode } from '../step/sum-tree.js';

/** A part of the sum: one rank's, or those of several, which `firstRank` is the first of. */
export interface RankShare {
  readonly node: SumNode;
  readonly firstRank: number;
  readonly parts?: readonly [left: RankShare, right: RankShare];
}

/**
 * Deals a sum among ranks: each side of a cut gets ranks in proportion to its tokens, down to one
 * rank a part. With fewer micro-batches than ranks some have nothing to do.
 */
export function dealSum(node: SumNode, ranks: number, firstRank = 0): RankShare {
  if (ranks === 1 || !node.parts) return { node, firstRank };
  const [left, right] = node.parts;
  const share = node.tokens === 0 ? 0.5 : left.tokens / node.tokens;
  const leftRanks = Math.min(ranks - 1, Math.max(1, Math.round(ranks * share)));
  return {
    node,
    firstRank,
    parts: [
      dealSum(left, leftRanks, firstRank),
      dealSum(right, ranks - leftRanks, firstRank + leftRanks),
    ],
  };
}

/** The parts that are one rank's, in the order of their ranks. */
export const sharesOf = (share: RankShare): RankShare[] =>
  share.parts ? share.parts.flatMap(sharesOf) : [share];
