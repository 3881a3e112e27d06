/** AutoGluon's schedules by its own names, and its rule for the number of warm-up steps. */
import { check } from '@peft/errors';
import {
  cosineSchedule,
  linearSchedule,
  multiStepSchedule,
  polynomialSchedule,
  type LearningRateSchedule,
} from './schedules.js';

/** The values of AutoGluon's `optim.lr_schedule`. */
export const AUTOGLUON_SCHEDULES = [
  'cosine_decay',
  'polynomial_decay',
  'linear_decay',
  'multi_step',
] as const;
/** A value of AutoGluon's `optim.lr_schedule`. */
export type AutogluonScheduleName = (typeof AUTOGLUON_SCHEDULES)[number];

/** What `autogluonSchedule` is made from. */
export interface AutogluonScheduleOptions {
  /** `optim.lr`. */
  readonly learningRate: number;
  /** T, optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** W, from `autogluonWarmupSteps`. */
  readonly warmupSteps?: number;
  /**
   * `optim.end_lr`, default 0. Only polynomial_decay looks at it: the others end at 0 (or have no
   * end) whatever it says.
   */
  readonly endLearningRate?: number;
}

/**
 * `optim.lr_schedule` (its default: `cosine_decay`). `multi_step` has the fixed milestones 30 and
 * 55 with γ = 0.1 and ignores the warm-up.
 * @throws PEFT_CONFIG_INVALID for an unknown name, or for a polynomial end rate above the rate.
 */
export function autogluonSchedule(
  name: AutogluonScheduleName,
  { learningRate, totalSteps, warmupSteps = 0, endLearningRate = 0 }: AutogluonScheduleOptions,
): LearningRateSchedule {
  check.oneOf('optim', 'lr_schedule', name, AUTOGLUON_SCHEDULES);
  switch (name) {
    case 'cosine_decay':
      return cosineSchedule({ learningRate, totalSteps, warmupSteps });
    case 'polynomial_decay':
      return polynomialSchedule({
        learningRate,
        totalSteps,
        warmupSteps,
        endLearningRate,
        power: 1,
      });
    case 'linear_decay':
      return linearSchedule({ learningRate, totalSteps, warmupSteps });
    case 'multi_step':
      return multiStepSchedule({ learningRate, milestones: [30, 55], gamma: 0.1 });
  }
}

/**
 * `optim.warmup_steps`: below 1 a share of the run, ⌊T·share⌋; from 1 on a number of steps. Default
 * 0.1.
 */
export function autogluonWarmupSteps(totalSteps: number, warmup = 0.1): number {
  check.nonNegativeInteger('optim', 'totalSteps', totalSteps);
  if (warmup < 1) check.probability('optim', 'warmup_steps', warmup);
  else check.positiveInteger('optim', 'warmup_steps', warmup);
  return warmup < 1 ? Math.floor(totalSteps * warmup) : warmup;
}
