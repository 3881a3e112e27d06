/**
 * The order in which the gradients of a step's micro-batches are added. Sums of floats depend on
 * it, so it is fixed by the step alone: a tree over the micro-batches by their number, cut where
 * the tokens on both sides are most alike. Ranks that take a subtree each come to the same bytes as
 * one that adds all of it.
 */

/**
 * `pairwise` is the tree above; `sequential`, one after the other, is what runs before it had, and
 * checkpoints of such are resumed with.
 */
export type GradientSum = 'pairwise' | 'sequential';

/** The sum of the micro-batches from `start` to below `end`. */
export interface SumNode {
  readonly start: number;
  readonly end: number;
  readonly tokens: number;
  /** What is added to what; none for a single micro-batch. */
  readonly parts?: readonly [left: SumNode, right: SumNode];
}

/**
 * @param tokens of each micro-batch, at least one.
 */
export function sumTree(tokens: readonly number[], order: GradientSum): SumNode {
  // before[k]: tokens of the first k micro-batches
  const before = [0];
  for (const count of tokens) before.push(before.at(-1)! + count);
  const node = (start: number, end: number, depth: number): SumNode => {
    const own = { start, end, tokens: before[end]! - before[start]! };
    if (end - start === 1) return own;
    const cut = order === 'sequential' ? end - 1 : evenCut(before, start, end, 2 ** (depth - 1));
    return { ...own, parts: [node(start, cut, depth - 1), node(cut, end, depth - 1)] };
  };
  return node(0, tokens.length, mostPartialSums(tokens.length));
}

/**
 * Depth of a pairwise tree at the most, ⌈log₂ n⌉ + 1, and so how many sums wait for their right
 * side at once. One more than the least leaves room for even cuts.
 */
export const mostPartialSums = (microBatches: number): number =>
  microBatches === 1 ? 1 : Math.ceil(Math.log2(microBatches)) + 1;

/** Where both sides have most nearly the same tokens, and neither more than `most` leaves. */
function evenCut(before: readonly number[], start: number, end: number, most: number): number {
  const unevenness = (cut: number): number =>
    Math.abs(before[start]! + before[end]! - 2 * before[cut]!);
  let best = Math.max(start + 1, end - most);
  for (let cut = best + 1; cut <= Math.min(end - 1, start + most); cut += 1)
    if (unevenness(cut) < unevenness(best)) best = cut;
  return best;
}

/**
 * How many sums each micro-batch of a node completes: so many times the last two partial sums
 * become one after it.
 */
export function joinsAfter(node: SumNode): number[] {
  const joins = new Array<number>(node.end - node.start).fill(0);
  const visit = ({ end, parts }: SumNode): void => {
    if (!parts) return;
    parts.forEach(visit);
    joins[end - 1 - node.start]! += 1;
  };
  visit(node);
  return joins;
}
