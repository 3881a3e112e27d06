/**
 * Learning-rate schedules: the rate as a function of the optimiser step, counted from 0. Nothing
 * else is remembered, so a resumed run only needs its step. Formulas and corner cases as in
 * transformers; t step, W warm-up steps, T total steps, η the base rate.
 */
import { check, PeftError } from '@peft/errors';

/** The rate of optimiser step `step` (0 for the first). */
export type LearningRateSchedule = (step: number) => number;

/** Rate and warm-up of any schedule. */
export interface ConstantOptions {
  /** η, the base rate. */
  readonly learningRate: number;
  /** The rate grows linearly from 0 in that many steps. Default 0. */
  readonly warmupSteps?: number;
}

/** The same with the number of steps that a falling schedule ends at. */
export interface DecayOptions extends ConstantOptions {
  /** T, warm-up included. */
  readonly totalSteps: number;
}

/** η, after η·t/W in the first W steps. */
export function constantSchedule(options: ConstantOptions): LearningRateSchedule {
  return warmedUp('constant', options, () => 1);
}

/** η·max(0, (T − t)/(T − W)). */
export function linearSchedule(options: DecayOptions): LearningRateSchedule {
  const span = decaySpan('linear', options);
  return warmedUp('linear', options, (t) => Math.max(0, (options.totalSteps - t) / span));
}

/**
 * η·max(0, ½(1 + cos(2π·cycles·progress))), progress = (t − W)/(T − W) unbounded. `cycles` ½
 * (default) falls once to 0.
 */
export function cosineSchedule(
  options: DecayOptions & { readonly cycles?: number },
): LearningRateSchedule {
  const { cycles = 0.5, warmupSteps = 0 } = options;
  check.positive('cosine', 'cycles', cycles);
  const span = decaySpan('cosine', options);
  return warmedUp('cosine', options, (t) =>
    Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * ((t - warmupSteps) / span)))),
  );
}

/**
 * Falls to 0 and jumps back to η `cycles` times (default 1): η·½(1 + cos(π·frac(cycles·progress))),
 * 0 from T on.
 */
export function cosineWithRestartsSchedule(
  options: DecayOptions & { readonly cycles?: number },
): LearningRateSchedule {
  const { cycles = 1, warmupSteps = 0 } = options;
  check.positiveInteger('cosine_with_restarts', 'cycles', cycles);
  const span = decaySpan('cosine_with_restarts', options);
  return warmedUp('cosine_with_restarts', options, (t) => {
    const progress = (t - warmupSteps) / span;
    return progress >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress) % 1)));
  });
}

/**
 * A cosine that ends at `minimumLearningRate` instead of 0: η·(f·(1 − ρ) + ρ), f the cosine's
 * factor, ρ = minimum/η.
 */
export function cosineWithMinimumSchedule(
  options: DecayOptions & { readonly minimumLearningRate: number; readonly cycles?: number },
): LearningRateSchedule {
  const { cycles = 0.5, minimumLearningRate, warmupSteps = 0, learningRate } = options;
  check.positive('cosine_with_min_lr', 'cycles', cycles);
  checkEnd('cosine_with_min_lr', 'minimumLearningRate', minimumLearningRate, learningRate);
  const span = decaySpan('cosine_with_min_lr', options);
  const share = minimumLearningRate / learningRate;
  return warmedUp('cosine_with_min_lr', options, (t) => {
    const factor = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * ((t - warmupSteps) / span)));
    return Math.max(0, factor * (1 - share) + share);
  });
}

/**
 * (η − e)·(1 − progress)^power + e with the end rate e (default 1e-7), e after T. Power 1 by
 * default.
 */
export function polynomialSchedule(
  options: DecayOptions & { readonly endLearningRate?: number; readonly power?: number },
): LearningRateSchedule {
  const { endLearningRate = 1e-7, power = 1, learningRate, totalSteps, warmupSteps = 0 } = options;
  check.positive('polynomial', 'power', power);
  checkEnd('polynomial', 'endLearningRate', endLearningRate, learningRate);
  const span = decaySpan('polynomial', options);
  return warmedUp('polynomial', options, (t) => {
    if (t >= totalSteps) return endLearningRate / learningRate;
    const decay =
      (learningRate - endLearningRate) * (1 - (t - warmupSteps) / span) ** power + endLearningRate;
    return decay / learningRate;
  });
}

/**
 * η/√((t + s − W)/s) with the time scale s, by default W, or 10,000 without warm-up. Has no end.
 */
export function inverseSqrtSchedule(
  options: ConstantOptions & { readonly timescale?: number },
): LearningRateSchedule {
  const { warmupSteps = 0, timescale = warmupSteps || 10_000 } = options;
  check.positive('inverse_sqrt', 'timescale', timescale);
  return warmedUp(
    'inverse_sqrt',
    options,
    (t) => 1 / Math.sqrt((t + timescale - warmupSteps) / timescale),
  );
}

/** η·γ^(number of milestones ≤ t). Has no warm-up. */
export function multiStepSchedule({
  learningRate,
  milestones,
  gamma = 0.1,
}: {
  readonly learningRate: number;
  readonly milestones: readonly number[];
  readonly gamma?: number;
}): LearningRateSchedule {
  checkRate('multi_step', learningRate);
  check.positive('multi_step', 'gamma', gamma);
  for (const milestone of milestones)
    check.nonNegativeInteger('multi_step', 'milestones[]', milestone);
  return (step) =>
    milestones.reduce((rate, milestone) => (milestone <= step ? rate * gamma : rate), learningRate);
}

/** η·t/W for t < W, then η·`factor(t)`. */
function warmedUp(
  owner: string,
  { learningRate, warmupSteps = 0 }: ConstantOptions,
  factor: (step: number) => number,
): LearningRateSchedule {
  checkRate(owner, learningRate);
  check.nonNegativeInteger(owner, 'warmupSteps', warmupSteps);
  return (step) => learningRate * (step < warmupSteps ? step / warmupSteps : factor(step));
}

/** max(1, T − W). */
export function decaySpan(owner: string, { totalSteps, warmupSteps = 0 }: DecayOptions): number {
  check.nonNegativeInteger(owner, 'totalSteps', totalSteps);
  check.nonNegativeInteger(owner, 'warmupSteps', warmupSteps);
  return Math.max(1, totalSteps - warmupSteps);
}

/** @throws PEFT_CONFIG_INVALID for a rate that is not a positive number. */
export function checkRate(owner: string, learningRate: number): void {
  check.positive(owner, 'learningRate', learningRate);
}

function checkEnd(owner: string, field: string, end: number, learningRate: number): void {
  checkRate(owner, learningRate);
  if (!(end >= 0 && end <= learningRate)) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be between 0 and the learning rate ${learningRate}, got ${end}.`,
      { hint: 'A schedule ends at or below the rate it starts with.' },
    );
  }
}
