import { describe, expect, it } from 'vitest';
import { dealSum, sharesOf } from '../ranks/rank-shares.js';
import { joinsAfter, mostPartialSums, sumTree, type SumNode } from './sum-tree.js';

/** `((0 + 1) + 2)`. */
const written = ({ start, parts }: SumNode): string =>
  parts ? `(${parts.map(written).join(' + ')})` : String(start);

/** As the accumulator adds. @returns the sum, and how many sums were there at once. */
function added(node: SumNode): { readonly sum: string; readonly most: number } {
  const stack: string[] = [];
  let most = 0;
  joinsAfter(node).forEach((joins, i) => {
    if (joins === 0) stack.push(String(node.start + i));
    else stack.push(`(${stack.pop()} + ${node.start + i})`);
    most = Math.max(most, stack.length);
    for (let join = 1; join < joins; join += 1) {
      const right = stack.pop()!;
      stack.push(`(${stack.pop()} + ${right})`);
    }
  });
  return { sum: stack.join(', '), most };
}

const same = (count: number): number[] => new Array<number>(count).fill(10);
/** Each half as long as the one before: cuts are as uneven as they come. */
const halving = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 ** (30 - i));

describe('the sum of a step', () => {
  it('is a tree of even cuts by tokens', () => {
    expect(written(sumTree(same(1), 'pairwise'))).toBe('0');
    expect(written(sumTree(same(4), 'pairwise'))).toBe('((0 + 1) + (2 + 3))');
    expect(written(sumTree(same(6), 'pairwise'))).toBe('((0 + (1 + 2)) + (3 + (4 + 5)))');
    expect(written(sumTree([60, 20, 20, 20], 'pairwise'))).toBe('(0 + (1 + (2 + 3)))');
    expect(written(sumTree([0, 0, 0], 'pairwise'))).toBe('(0 + (1 + 2))');
  });

  it('is one after the other for checkpoints of before', () => {
    expect(written(sumTree([60, 20, 20, 20], 'sequential'))).toBe('(((0 + 1) + 2) + 3)');
    expect(added(sumTree(same(9), 'sequential')).most).toBe(1);
  });

  it('adds as the tree says, with ⌈log₂ n⌉ + 1 sums at once at the most', () => {
    for (const tokens of [same, halving])
      for (let count = 1; count <= 24; count += 1) {
        const tree = sumTree(tokens(count), 'pairwise');
        const { sum, most } = added(tree);
        expect(sum).toBe(written(tree));
        expect(most).toBeLessThanOrEqual(mostPartialSums(count));
      }
    expect([1, 2, 3, 4, 16, 17].map(mostPartialSums)).toEqual([1, 2, 3, 3, 5, 6]);
  });

  it('is dealt in subtrees of about equal tokens, one for each rank', () => {
    const dealt = (tokens: number[], ranks: number): [number, string][] =>
      sharesOf(dealSum(sumTree(tokens, 'pairwise'), ranks)).map(({ node, firstRank }) => [
        firstRank,
        `${node.start}–${node.end - 1}: ${node.tokens}`,
      ]);
    expect(dealt(same(8), 4)).toEqual([
      [0, '0–1: 20'],
      [1, '2–3: 20'],
      [2, '4–5: 20'],
      [3, '6–7: 20'],
    ]);
    expect(dealt([50, 40, 30, 20, 20, 20, 10, 10], 2)).toEqual([
      [0, '0–1: 90'],
      [1, '2–7: 110'],
    ]);
    expect(dealt(same(8), 3)).toEqual([
      [0, '0–1: 20'],
      [1, '2–3: 20'],
      [2, '4–7: 40'],
    ]);
    // fewer micro-batches than ranks
    expect(dealt(same(2), 4)).toEqual([
      [0, '0–0: 10'],
      [2, '1–1: 10'],
    ]);
    expect(dealt(same(8), 1)).toEqual([[0, '0–7: 80']]);
  });
});
