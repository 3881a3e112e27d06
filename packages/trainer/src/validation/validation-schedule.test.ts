import { describe, expect, it } from 'vitest';
import { isCheckDue, type ValidationInterval } from './validation-schedule.js';

function checks(epochs: number, stepsPerEpoch: number, interval: ValidationInterval): number[] {
  return Array.from({ length: epochs * stepsPerEpoch }, (_, i) => i + 1).filter((step) => {
    const epoch = Math.floor((step - 1) / stepsPerEpoch);
    return isCheckDue(
      { step, epoch, stepInEpoch: step - epoch * stepsPerEpoch, stepsPerEpoch },
      interval,
    );
  });
}

describe('validation checks', () => {
  it("come where AutoGluon's tutorials have them: 40 steps an epoch, every half epoch", () => {
    expect(checks(1, 40, { everyEpochs: 0.5 })).toEqual([20, 40]);
  });

  it('fall on the step before where an interval ends within one, and on every epoch end', () => {
    expect(checks(2, 25, { everyEpochs: 0.5 })).toEqual([12, 25, 37, 50]);
  });

  it('come at every step when the interval is shorter than one', () => {
    expect(checks(1, 3, { everyEpochs: 0.1 })).toEqual([1, 2, 3]);
  });

  it('may be several epochs or a number of steps apart', () => {
    expect(checks(6, 4, { everyEpochs: 3 })).toEqual([12, 24]);
    expect(checks(3, 4, { everySteps: 5 })).toEqual([5, 10]);
  });
});
