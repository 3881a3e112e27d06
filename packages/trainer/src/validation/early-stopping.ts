/**
 * Early stopping over validation checks, as Lightning's EarlyStopping: patience counts checks, not
 * epochs.
 */

/** Whether more (`max`) or less (`min`) of a metric is better. */
export type Direction = 'max' | 'min';

/** When {@link observeScore} says that a run should stop. */
export interface EarlyStoppingOptions {
  readonly direction: Direction;
  /** Checks without an improvement after which the run stops. Default: never. */
  readonly patience?: number;
  /** An improvement must exceed the best by more than it. Default 0. */
  readonly minDelta?: number;
  /** Stop as soon as a score is better than it. Default: never. */
  readonly stoppingThreshold?: number;
}

/** JSON-safe; goes into checkpoints. */
export interface EarlyStoppingState {
  readonly best?: number;
  /** What of equals was the best, where ties are broken. */
  readonly tie?: number;
  readonly checksSinceBest: number;
}

/** The state before the first check. */
export const START_OF_EARLY_STOPPING: EarlyStoppingState = Object.freeze({ checksSinceBest: 0 });

/** Whether `score` beats `other`; a NaN never does, and anything beats a NaN. */
export function isBetter(score: number, other: number, direction: Direction): boolean {
  if (Number.isNaN(other)) return !Number.isNaN(score);
  return direction === 'max' ? score > other : score < other;
}

/**
 * Takes in the score of a check. `stop` says why the run should stop, if it should.
 * @param tie the more, the better a score that equals the best; such a one is an improvement, too.
 */
export function observeScore(
  state: EarlyStoppingState,
  score: number,
  { direction, patience = Infinity, minDelta = 0, stoppingThreshold }: EarlyStoppingOptions,
  tie?: number,
): { readonly state: EarlyStoppingState; readonly stop?: 'patience' | 'threshold' } {
  const improved =
    !Number.isNaN(score) &&
    (state.best === undefined ||
      isBetter(direction === 'max' ? score - minDelta : score + minDelta, state.best, direction) ||
      (score === state.best && tie !== undefined && tie > (state.tie ?? Infinity)));
  const next: EarlyStoppingState = improved
    ? { best: score, ...(tie !== undefined && { tie }), checksSinceBest: 0 }
    : { ...state, checksSinceBest: state.checksSinceBest + 1 };
  if (stoppingThreshold !== undefined && isBetter(score, stoppingThreshold, direction))
    return { state: next, stop: 'threshold' };
  return next.checksSinceBest >= patience ? { state: next, stop: 'patience' } : { state: next };
}
