/** When the model is validated: every so many steps, or at fractions of an epoch. */

/** How often the model is scored; both may be given. */
export interface ValidationInterval {
  /** Every that many optimiser steps. */
  readonly everySteps?: number;
  /**
   * The k-th check of a run follows step ⌊k · everyEpochs · steps per epoch⌋; 0.5 checks at the
   * middle and the end of each epoch.
   */
  readonly everyEpochs?: number;
}

/** Where a run is, after a step. */
export interface RunPosition {
  /** Optimiser steps done. */
  readonly step: number;
  /** Epochs done before this one. */
  readonly epoch: number;
  /** Steps done in this epoch. */
  readonly stepInEpoch: number;
  readonly stepsPerEpoch: number;
}

/** Whether a check follows the step just done. */
export function isCheckDue(
  { step, epoch, stepInEpoch, stepsPerEpoch }: RunPosition,
  { everySteps, everyEpochs }: ValidationInterval,
): boolean {
  if (step === 0) return false;
  if (everySteps !== undefined && step % everySteps === 0) return true;
  if (everyEpochs === undefined) return false;
  const done = epoch * stepsPerEpoch + stepInEpoch;
  const interval = everyEpochs * stepsPerEpoch;
  const near = Math.floor(done / interval);
  return [near, near + 1].some((k) => k > 0 && Math.floor(k * interval + 1e-9) === done);
}
