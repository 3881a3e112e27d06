/**
 * The best k checkpoints of a run, with Lightning's rules for ties: a newcomer must be strictly
 * better than the worst, the oldest worst goes; what else breaks a tie comes first.
 */
import type { Direction } from '../validation/early-stopping.js';
import { beats, type Score } from '../validation/score.js';

/** A checkpoint by its step, with the watched metric there. */
export interface ScoredCheckpoint extends Score {
  readonly step: number;
}

/** The list after a check, in order of time. A NaN never enters. */
export function enterTop(
  top: readonly ScoredCheckpoint[],
  candidate: ScoredCheckpoint,
  k: number,
  direction: Direction,
): readonly ScoredCheckpoint[] {
  const others = top.filter(({ step }) => step !== candidate.step);
  if (k <= 0 || Number.isNaN(candidate.score)) return others;
  if (others.length < k) return [...others, candidate];
  const worst = others.reduce((a, b) => (beats(a, b, direction) ? b : a));
  return beats(candidate, worst, direction)
    ? [...others.filter((entry) => entry !== worst), candidate]
    : others;
}

/** Best first; of equals the earlier one first. */
export function rankTop(
  top: readonly ScoredCheckpoint[],
  direction: Direction,
): readonly ScoredCheckpoint[] {
  return [...top].sort((a, b) => Number(beats(b, a, direction)) - Number(beats(a, b, direction)));
}
