/** What a validation check came to, and which of two is better. */
import { isBetter, type Direction } from './early-stopping.js';

/** The watched metric, and what decides between two checks that come to the same. */
export interface Score {
  /** A NaN where the metric was no finite number. */
  readonly score: number;
  /** The more, the better. Without it the earlier of two equals stays. */
  readonly tie?: number | undefined;
}

/** Whether `one` is better than `other`. */
export function beats(one: Score, other: Score, direction: Direction): boolean {
  if (one.score !== other.score) return isBetter(one.score, other.score, direction);
  return one.tie !== undefined && other.tie !== undefined && one.tie > other.tie;
}
