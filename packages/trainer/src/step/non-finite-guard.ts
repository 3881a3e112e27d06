/**
 * What to do about a loss or a gradient that is NaN or infinite: leave the step out, and give up
 * when it does not stop.
 */
import { PeftError } from '@peft/errors';

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

/**
 * Counts a step that was left out.
 * @throws PEFT_TRAIN_NOT_FINITE when it is one too many;
 * @param what for instance `the loss is NaN`
 */
export function observeNonFinite(
  state: NonFiniteState,
  step: number,
  what: string,
  { action = 'skip', maxConsecutive = 10 }: NonFiniteOptions = {},
): NonFiniteState {
  const next = { consecutive: state.consecutive + 1, total: state.total + 1 };
  if (action === 'stop' || next.consecutive >= maxConsecutive) {
    const inARow =
      next.consecutive === 1 ? '' : `, the last of ${next.consecutive} such steps in a row`;
    throw new PeftError('PEFT_TRAIN_NOT_FINITE', `trainer: ${what} at step ${step}${inARow}.`, {
      hint:
        'lower the learning rate or the gradient norm, or look for extreme inputs; ' +
        'the last checkpoint is from before',
    });
  }
  return next;
}
