/**
 * Shares a budget of tokens among several texts: while there is room, every text that is not yet
 * whole gets the same number more, so the longest lose first. A rest smaller than the number of
 * open texts goes to the first of them, one token each (AutoGluon's rule).
 *
 * @param lengths tokens of each text. @param budget tokens in all.
 * @returns tokens kept of each text; their sum is min(budget, sum of lengths).
 */
export function trimLengths(lengths: readonly number[], budget: number): number[] {
  if (lengths.reduce((sum, length) => sum + length, 0) <= budget) return [...lengths];
  const kept = lengths.map(() => 0);
  let left = Math.max(0, budget);
  while (left > 0) {
    const open = lengths.flatMap((length, i) => (length > kept[i]! ? [i] : []));
    if (left < open.length) {
      for (const i of open.slice(0, left)) kept[i]! += 1;
      break;
    }
    const more = Math.min(
      Math.floor(left / open.length),
      ...open.map((i) => lengths[i]! - kept[i]!),
    );
    for (const i of open) kept[i]! += more;
    left -= more * open.length;
  }
  return kept;
}
