/**
 * What to do about a loss or a gradient that is NaN or infinite: leave the step out, and give up
 * when it does not stop.
 */
/** What the loop does about a loss or gradient that is NaN or infinite. */
export interface NonFiniteOptions {
  /**
   * `skip` (default): leave the step out, parameters and optimiser stay as they were, and warn.
   * `stop`: end the run at the first.
   */
  readonly action?: 'skip' | 'stop';
  /** With `skip`: end the run after so many such steps in a row. Default 10. */
  readonly maxConsecutive?: number;
}

/** JSON-safe; goes into checkpoints. */
export interface NonFiniteState {
  readonly consecutive: number;
  readonly total: number;
}

/** The count at the beginning of a run. */
export const NO_NON_FINITE: NonFiniteState = Object.freeze({ consecutive: 0, total: 0 });

/** The count after a step that was left out. */
export const countNonFinite = ({ consecutive, total }: NonFiniteState): NonFiniteState => ({
  consecutive: consecutive + 1,
  total: total + 1,
});

/** Whether the last such step was one too many. */
export function isTooManyNonFinite(
  { consecutive }: NonFiniteState,
  { action = 'skip', maxConsecutive = 10 }: NonFiniteOptions = {},
): boolean {
  return consecutive > 0 && (action === 'stop' || consecutive >= maxConsecutive);
}

/** What to add to a sentence about the last such step. */
export const inARow = ({ consecutive }: NonFiniteState): string =>
  consecutive > 1 ? `, the last of ${consecutive} such steps in a row` : '';
