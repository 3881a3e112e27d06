import { describe, expect, test } from 'vitest';
import { autogluonSchedule, autogluonWarmupSteps } from './autogluon-schedule.js';
import { createOptimizer } from '../rules/create-optimizer.js';
import { createSchedule, SCHEDULE_NAMES } from './create-schedule.js';
import {
  cosineSchedule,
  linearSchedule,
  multiStepSchedule,
  polynomialSchedule,
} from './schedules.js';

describe('schedules', () => {
  test('start at 0 with warm-up, reach the rate after it, and end at 0 exactly at the last step', () => {
    for (const make of [linearSchedule, cosineSchedule]) {
      const schedule = make({ learningRate: 0.5, warmupSteps: 4, totalSteps: 20 });
      expect([0, 2, 4, 20].map(schedule)).toEqual([0, 0.25, 0.5, 0]);
    }
  });

  test('survive runs of no steps, of one step, and of warm-up alone', () => {
    for (const totalSteps of [0, 1, 5]) {
      const options = { learningRate: 0.5, warmupSteps: totalSteps, totalSteps };
      for (const schedule of [
        linearSchedule(options),
        cosineSchedule(options),
        polynomialSchedule({ ...options, endLearningRate: 0 }),
      ]) {
        expect(
          [0, 1, 2, 9]
            .map(schedule)
            .every((rate) => Number.isFinite(rate) && rate >= 0 && rate <= 0.5),
        ).toBe(true);
      }
    }
  });

  test('milestones take effect at their own step', () => {
    const schedule = multiStepSchedule({ learningRate: 1, milestones: [3, 3, 5], gamma: 0.5 });
    expect([2, 3, 4, 5].map(schedule)).toEqual([1, 0.25, 0.25, 0.125]);
  });

  test('are made by name, and a wrong name or option is told the nearest', () => {
    const all = { learningRate: 1, totalSteps: 10 };
    expect(createSchedule('linear', all)(5)).toBe(0.5);
    expect(SCHEDULE_NAMES).toContain('warmup_stable_decay');
    expect(() => createSchedule('cosin' as 'cosine', all)).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: schedule must be one of constant, constant_with_warmup, linear, cosine, cosine_with_restarts, cosine_with_min_lr, polynomial, inverse_sqrt, multi_step, warmup_stable_decay, got "cosin".
        hint: Did you mean "cosine" or "cosine_with_min_lr" or "cosine_with_restarts"?]
    `);
    expect(() => createSchedule('cosine', { ...all, warmupStep: 3 } as typeof all))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: cosine: unknown option "warmupStep".
        hint: Did you mean "warmupSteps"? Known options: learningRate, warmupSteps, totalSteps, cycles]
    `);
    expect(() => createSchedule('polynomial', { ...all, endLearningRate: 2 }))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: polynomial: endLearningRate must be between 0 and the learning rate 1, got 2.
        hint: A schedule ends at or below the rate it starts with.]
    `);
    expect(() =>
      createSchedule('linear', { ...all, learningRate: 0 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: linear: learningRate must be a number > 0, got 0.]`,
    );
  });
});

describe("AutoGluon's schedules", () => {
  test('warm up for a share of the run, rounded down, or for a number of steps', () => {
    expect([
      autogluonWarmupSteps(59),
      autogluonWarmupSteps(50, 0),
      autogluonWarmupSteps(50, 0.25),
      autogluonWarmupSteps(50, 7),
    ]).toEqual([5, 0, 12, 7]);
    expect(() => autogluonWarmupSteps(50, -0.1)).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: optim: warmup_steps must be a number in [0, 1), got -0.1.]`,
    );
    expect(() => autogluonWarmupSteps(50, 1.5)).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: optim: warmup_steps must be a positive integer, got 1.5.]`,
    );
  });

  test('the cosine ends at 0 whatever end rate is given', () => {
    expect(
      autogluonSchedule('cosine_decay', {
        learningRate: 3e-3,
        endLearningRate: 3e-3,
        totalSteps: 50,
      })(50),
    ).toBe(0);
    expect(() => autogluonSchedule('cosine' as 'cosine_decay', { learningRate: 1, totalSteps: 1 }))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: lr_schedule must be one of cosine_decay, polynomial_decay, linear_decay, multi_step, got "cosine".
        hint: Did you mean "cosine_decay"?]
    `);
  });
});

describe('optimisers by name', () => {
  test('a wrong name, option or value is refused', () => {
    expect(createOptimizer('momentum_8bit').name).toBe('momentum_8bit');
    expect(() => createOptimizer('adam_w' as 'adamw')).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: optimizer must be one of adamw, adam, sgd, lion, adafactor, adamw_8bit, adam_8bit, lion_8bit, momentum_8bit, got "adam_w".
        hint: Did you mean "adam" or "adamw" or "adam_8bit"?]
    `);
    expect(() => createOptimizer('adamw', { eps: 1 } as object))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: unknown option "eps".
        hint: Did you mean "epsilon"? Known options: beta1, beta2, epsilon]
    `);
    expect(() => createOptimizer('adamw', { beta1: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adamw: beta1 must be a number in [0, 1), got 1.]`,
    );
    expect(() => createOptimizer('sgd', { nesterov: true })).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: sgd: nesterov needs a momentum, got 0.
        hint: Set momentum, for instance to 0.9.]
    `);
    expect(() => createOptimizer('adafactor', { relativeStep: false, warmupInit: true }))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adafactor: warmupInit needs relativeStep, got relativeStep: false.
        hint: Leave warmupInit out and warm up with the schedule.]
    `);
    expect(() =>
      createOptimizer('adafactor', { decayRate: 0.8 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adafactor: decayRate must be a number < 0, got 0.8.]`,
    );
  });
});
