/** Finds the names most like a mistyped one, for "Did you mean …?". */

/**
 * The `count` candidates nearest to `name` by edit distance (insertions, deletions, substitutions,
 * swaps of neighbours; case ignored), nearest first; a candidate that contains `name` or ends like
 * it counts as near. Candidates that share too little (distance over 60 % of the longer name) are
 * left out, and so is the very name.
 */
export function nearestNames(name: string, candidates: Iterable<string>, count = 3): string[] {
  const wanted = name.toLowerCase();
  const scored: { candidate: string; score: number }[] = [];
  for (const candidate of new Set(candidates)) {
    if (candidate === name) continue; // what was given is no way out
    const lower = candidate.toLowerCase();
    const contains = wanted.length > 2 && (lower.includes(wanted) || wanted.includes(lower));
    const tail = lower.slice(-Math.max(wanted.length, 1));
    const distance = Math.min(editDistance(wanted, lower), editDistance(wanted, tail) + 0.5);
    const score = contains ? Math.min(distance, 0.5) : distance;
    if (score <= 0.6 * Math.max(wanted.length, Math.min(lower.length, wanted.length + 2)))
      scored.push({ candidate, score });
  }
  scored.sort(
    (a, b) =>
      a.score - b.score ||
      a.candidate.length - b.candidate.length ||
      (a.candidate < b.candidate ? -1 : 1),
  );
  return scored.slice(0, count).map(({ candidate }) => candidate);
}

/** `Did you mean "a" or "b"?`, or an empty string when nothing is near. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const near = nearestNames(name, candidates);
  return near.length ? `Did you mean ${near.map((n) => JSON.stringify(n)).join(' or ')}?` : '';
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 40) return Number.POSITIVE_INFINITY;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
