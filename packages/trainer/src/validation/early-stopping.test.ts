import { describe, expect, it } from 'vitest';
import {
  observeScore,
  START_OF_EARLY_STOPPING,
  type EarlyStoppingOptions,
} from './early-stopping.js';

/** The number of checks after which the run stops, and why. */
function checksUntilStop(
  scores: readonly number[],
  options: EarlyStoppingOptions,
): [number, string] | undefined {
  let state = START_OF_EARLY_STOPPING;
  for (const [i, score] of scores.entries()) {
    const seen = observeScore(state, score, options);
    if (seen.stop) return [i + 1, seen.stop];
    state = seen.state;
  }
  return undefined;
}

describe('early stopping', () => {
  it('counts checks without an improvement, from the best one', () => {
    expect(
      checksUntilStop([0.5, 0.6, 0.6, 0.55, 0.59, 0.9], { direction: 'max', patience: 3 }),
    ).toEqual([5, 'patience']);
    expect(
      checksUntilStop([0.5, 0.6, 0.6, 0.55, 0.61, 0.9], { direction: 'max', patience: 3 }),
    ).toBeUndefined();
  });

  it('counts an equal score that gains in what breaks ties as an improvement', () => {
    const options = { direction: 'max', patience: 2 } as const;
    const seen = (ties: readonly number[]) => {
      let state = START_OF_EARLY_STOPPING;
      return ties.map((tie) => {
        const next = observeScore(state, 1, options, tie);
        state = next.state;
        return next.stop;
      });
    };
    expect(seen([1, 2, 2, 3, 3, 3])).toEqual([...Array<undefined>(5), 'patience']);
    expect(observeScore({ best: 0.5, tie: 9, checksSinceBest: 1 }, 1, options, 1).state).toEqual({
      best: 1,
      tie: 1,
      checksSinceBest: 0,
    });
  });

  it('asks for more than minDelta, in either direction', () => {
    expect(
      checksUntilStop([1, 0.95, 0.91], { direction: 'min', patience: 2, minDelta: 0.1 }),
    ).toEqual([3, 'patience']);
    expect(
      checksUntilStop([1, 0.95, 0.85], { direction: 'min', patience: 2, minDelta: 0.1 }),
    ).toBeUndefined();
  });

  it('stops as soon as the threshold is passed', () => {
    expect(
      checksUntilStop([0.9, 0.9999999, 1], { direction: 'max', stoppingThreshold: 0.9999999 }),
    ).toEqual([3, 'threshold']);
  });

  it('takes a NaN for no improvement, also as the first score', () => {
    expect(checksUntilStop([Number.NaN, Number.NaN], { direction: 'max', patience: 2 })).toEqual([
      2,
      'patience',
    ]);
    expect(
      checksUntilStop([Number.NaN, 0.1, Number.NaN], { direction: 'max', patience: 2 }),
    ).toBeUndefined();
  });
});
