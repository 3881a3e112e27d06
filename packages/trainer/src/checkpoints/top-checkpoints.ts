/**
 * The best k checkpoints of a run, with Lightning's rules for ties: a newcomer must be strictly
 * better than the worst, the oldest worst goes.
 */
import { isBetter, type Direction } from '../validation/early-stopping.js';

/** A checkpoint by its step, with the watched metric there. */
export interface ScoredCheckpoint {
  readonly step: number;
  readonly score: number;
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
  const worst = others.reduce((a, b) => (isBetter(a.score, b.score, direction) ? b : a));
  return isBetter(candidate.score, worst.score, direction)
    ? [...others.filter((entry) => entry !== worst), candidate]
    : others;
}

/** Best first; of equals the earlier one first. */
export function rankTop(
  top: readonly ScoredCheckpoint[],
  direction: Direction,
): readonly ScoredCheckpoint[] {
  return [...top].sort((a, b) => (direction === 'max' ? b.score - a.score : a.score - b.score));
}
