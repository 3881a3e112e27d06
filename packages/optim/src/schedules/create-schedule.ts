/** Schedules by name, for run files and command lines. */
import { check } from '@peft/errors';
import * as schedules from './schedules.js';
import {
  warmupStableDecaySchedule,
  type WarmupStableDecayOptions,
} from './warmup-stable-decay-schedule.js';

type OptionsOf<F> = F extends (options: infer O) => unknown ? O : never;

/** Options of each schedule by its name in transformers. */
export interface ScheduleOptions {
  constant: OptionsOf<typeof schedules.constantSchedule>;
  constant_with_warmup: OptionsOf<typeof schedules.constantSchedule>;
  linear: OptionsOf<typeof schedules.linearSchedule>;
  cosine: OptionsOf<typeof schedules.cosineSchedule>;
  cosine_with_restarts: OptionsOf<typeof schedules.cosineWithRestartsSchedule>;
  cosine_with_min_lr: OptionsOf<typeof schedules.cosineWithMinimumSchedule>;
  polynomial: OptionsOf<typeof schedules.polynomialSchedule>;
  inverse_sqrt: OptionsOf<typeof schedules.inverseSqrtSchedule>;
  multi_step: OptionsOf<typeof schedules.multiStepSchedule>;
  warmup_stable_decay: WarmupStableDecayOptions;
}

/** A name that `createSchedule` knows: transformers' `lr_scheduler_type`. */
export type ScheduleName = keyof ScheduleOptions;

type Table = {
  readonly [K in ScheduleName]: {
    readonly make: (options: ScheduleOptions[K]) => schedules.LearningRateSchedule;
    readonly keys: readonly (keyof ScheduleOptions[K] & string)[];
  };
};

const WARMUP = ['learningRate', 'warmupSteps'] as const;
const DECAY = ['learningRate', 'warmupSteps', 'totalSteps'] as const;

const TABLE: Table = {
  constant: { make: schedules.constantSchedule, keys: WARMUP },
  constant_with_warmup: { make: schedules.constantSchedule, keys: WARMUP },
  linear: { make: schedules.linearSchedule, keys: DECAY },
  cosine: { make: schedules.cosineSchedule, keys: [...DECAY, 'cycles'] },
  cosine_with_restarts: { make: schedules.cosineWithRestartsSchedule, keys: [...DECAY, 'cycles'] },
  cosine_with_min_lr: {
    make: schedules.cosineWithMinimumSchedule,
    keys: [...DECAY, 'cycles', 'minimumLearningRate'],
  },
  polynomial: { make: schedules.polynomialSchedule, keys: [...DECAY, 'endLearningRate', 'power'] },
  inverse_sqrt: { make: schedules.inverseSqrtSchedule, keys: [...WARMUP, 'timescale'] },
  multi_step: { make: schedules.multiStepSchedule, keys: ['learningRate', 'milestones', 'gamma'] },
  warmup_stable_decay: {
    make: warmupStableDecaySchedule,
    keys: [
      'learningRate',
      'warmupSteps',
      'stableSteps',
      'decaySteps',
      'warmupShape',
      'decayShape',
      'minimumShare',
      'cycles',
    ],
  },
};

/** Every name that `createSchedule` knows. */
export const SCHEDULE_NAMES = Object.freeze(Object.keys(TABLE) as ScheduleName[]);

/**
 * A schedule by name.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, both with the nearest names.
 */
export function createSchedule<K extends ScheduleName>(
  name: K,
  options: ScheduleOptions[K],
): schedules.LearningRateSchedule {
  check.oneOf('optim', 'schedule', name, SCHEDULE_NAMES);
  check.knownKeys(name, options, TABLE[name].keys);
  return TABLE[name].make(options);
}
