/** Options of a run, with their defaults. */
import { check, PeftError } from '@peft/errors';
import type { Direction } from '../validation/early-stopping.js';
import type { NonFiniteOptions } from '../step/non-finite-guard.js';
import type { ValidationInterval } from '../validation/validation-schedule.js';

/** When the model is scored during training, what is watched, and when that ends the run. */
export interface ValidationOptions extends ValidationInterval {
  /** The metric of `evaluate`'s result that is watched. */
  readonly metric: string;
  /** Whether more (`max`) or less (`min`) is better. */
  readonly direction: Direction;
  /**
   * Of checks that come to the same the one with more of this metric is better. Default: none, the
   * earlier stays.
   */
  readonly tieMetric?: string | undefined;
  /** Checks without an improvement after which the run stops. Default: never. */
  readonly patience?: number;
  /** An improvement must exceed the best by more than it. Default 0. */
  readonly minDelta?: number;
  /** The run stops as soon as the metric is better than it. Default: never. */
  readonly stoppingThreshold?: number;
}

/** Which weights the model has at the end. */
export const SELECTIONS = Object.freeze(['greedy-soup', 'uniform-soup', 'best', 'last'] as const);
/**
 * One of {@link SELECTIONS}: the greedy soup, the mean of the best, the best, or the last weights.
 */
export type Selection = (typeof SELECTIONS)[number];

/** Everything about a run that is neither model, data, optimiser nor schedule. */
export interface TrainOptions {
  /** Passes over the data. Default 1, or no limit when `maxSteps` is given. */
  readonly epochs?: number;
  /** Optimiser steps at most. */
  readonly maxSteps?: number;
  /** Gradients are scaled down to this global L2 norm; `null` for no clipping. Default 1. */
  readonly maxGradientNorm?: number | null;
  /**
   * Blocks that keep only their inputs for the backward pass: all, none, those of these numbers, or
   * all when memory is short (default).
   */
  readonly gradientCheckpointing?: boolean | 'auto' | ReadonlySet<number>;
  /** Whether dropout is live. Default true. */
  readonly dropout?: boolean;
  /** α of NEFTune: noise on the embeddings of tokens while training. Default 0: none. */
  readonly embeddingNoise?: number;
  /** Names the random streams of dropout and noise. Default 0. */
  readonly seed?: number;
  readonly nonFinite?: NonFiniteOptions;
  /** Needed with `evaluate`. Without an interval it checks at the end of each epoch. */
  readonly validation?: ValidationOptions;
  /**
   * Checkpoints are saved after each check (without validation: each epoch) and every so many
   * steps. Default: no further ones.
   */
  readonly checkpointEverySteps?: number;
  /** How many of the best checkpoints are kept beside the last. Default 3. */
  readonly topK?: number;
  /** Default `greedy-soup` with validation, else `last`. */
  readonly select?: Selection;
  /**
   * Gradients go to other ranks in buckets of so many bytes at least, while the backward pass goes on;
   * the same on all. No result depends on it. Default 8 MiB, or 256 KiB times the ranks where that is
   * more; `Infinity` sends all when the pass is over.
   */
  readonly bucketBytes?: number;
  /** The run stops after the first step past it. Counts from the call, also when resumed. */
  readonly timeLimitMs?: number;
  /**
   * Resume from the newest whole checkpoint of the store, or from that of a step; start afresh when
   * it has none. Default false: the store must be empty.
   */
  readonly resume?: boolean | number;
  /**
   * Resume from this checkpoint, whatever newer ones there are: its step, its name
   * (`checkpoint-12`) or its path. Newer ones are forgotten with the next checkpoint.
   */
  readonly resumeFrom?: number | string;
  /**
   * Lets a resumed run have another learning-rate schedule than it had, for more epochs of one that
   * is over, say; a run that early stopping had ended goes on. From the checkpoint's step on the
   * new schedule counts, which is said in a warning. Default false: another schedule is refused.
   */
  readonly restateSchedule?: boolean;
  /**
   * Further settings that a resumed run must share (the optimiser's, the tokenizer's …), shown by
   * name when they differ. JSON-safe.
   */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** {@link TrainOptions} with the defaults filled. */
export interface ResolvedOptions extends TrainOptions {
  readonly epochs: number;
  readonly maxSteps: number;
  readonly maxGradientNorm: number | null;
  readonly dropout: boolean;
  readonly embeddingNoise: number;
  readonly seed: number;
  readonly topK: number;
  readonly select: Selection;
  readonly gradientCheckpointing: boolean | 'auto' | ReadonlySet<number>;
}

const KEYS: readonly (keyof TrainOptions)[] = [
  'epochs',
  'maxSteps',
  'maxGradientNorm',
  'gradientCheckpointing',
  'dropout',
  'embeddingNoise',
  'seed',
  'nonFinite',
  'validation',
  'checkpointEverySteps',
  'topK',
  'select',
  'timeLimitMs',
  'bucketBytes',
  'resume',
  'resumeFrom',
  'restateSchedule',
  'settings',
];

/** Fills defaults. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function resolveOptions(options: TrainOptions, canEvaluate: boolean): ResolvedOptions {
  check.knownKeys('trainer', options, KEYS);
  const { validation, nonFinite } = options;
  for (const key of ['epochs', 'maxSteps', 'checkpointEverySteps'] as const)
    if (options[key] !== undefined) check.positiveInteger('trainer', key, options[key]);
  for (const key of ['topK', 'seed'] as const)
    if (options[key] !== undefined) check.nonNegativeInteger('trainer', key, options[key]);
  if (options.maxGradientNorm !== undefined && options.maxGradientNorm !== null)
    check.positive('trainer', 'maxGradientNorm', options.maxGradientNorm);
  if (options.embeddingNoise !== undefined && options.embeddingNoise !== 0)
    check.positive('trainer', 'embeddingNoise', options.embeddingNoise);
  if (options.timeLimitMs !== undefined)
    check.positive('trainer', 'timeLimitMs', options.timeLimitMs);
  if (options.bucketBytes !== undefined && options.bucketBytes !== Infinity)
    check.positiveInteger('trainer', 'bucketBytes', options.bucketBytes);
  if (options.select !== undefined) check.oneOf('trainer', 'select', options.select, SELECTIONS);
  if (nonFinite?.maxConsecutive !== undefined)
    check.positiveInteger('trainer', 'nonFinite.maxConsecutive', nonFinite.maxConsecutive);
  if (nonFinite?.action !== undefined)
    check.oneOf('trainer', 'nonFinite.action', nonFinite.action, ['skip', 'stop']);
  if (validation) checkValidation(validation);
  if (canEvaluate !== (validation !== undefined)) {
    const [given, missing] = canEvaluate
      ? ['evaluate', 'options.validation']
      : ['options.validation', 'evaluate'];
    throw new PeftError('PEFT_CONFIG_INVALID', `trainer: ${given} is given without ${missing}.`, {
      hint: 'give both, for instance validation: { metric: "accuracy", direction: "max", everyEpochs: 0.5 }',
    });
  }
  if (!validation && (options.select ?? 'last') !== 'last')
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `trainer: select "${options.select}" needs a validation to rank checkpoints by.`,
      { hint: 'give evaluate and options.validation, or select "last"' },
    );
  return {
    ...options,
    epochs: options.epochs ?? (options.maxSteps === undefined ? 1 : Infinity),
    maxSteps: options.maxSteps ?? Infinity,
    maxGradientNorm: options.maxGradientNorm === undefined ? 1 : options.maxGradientNorm,
    dropout: options.dropout ?? true,
    embeddingNoise: options.embeddingNoise ?? 0,
    seed: options.seed ?? 0,
    topK: options.topK ?? 3,
    select: options.select ?? (validation ? 'greedy-soup' : 'last'),
    gradientCheckpointing: options.gradientCheckpointing ?? 'auto',
    validation: validation && {
      ...validation,
      everyEpochs: validation.everyEpochs ?? (validation.everySteps === undefined ? 1 : undefined),
    },
  };
}

function checkValidation(validation: ValidationOptions): void {
  check.knownKeys('trainer', validation, [
    'metric',
    'tieMetric',
    'direction',
    'patience',
    'minDelta',
    'stoppingThreshold',
    'everySteps',
    'everyEpochs',
  ]);
  check.string('trainer', 'validation.metric', validation.metric);
  if (validation.tieMetric !== undefined)
    check.string('trainer', 'validation.tieMetric', validation.tieMetric);
  check.oneOf('trainer', 'validation.direction', validation.direction, ['max', 'min']);
  if (validation.everySteps !== undefined)
    check.positiveInteger('trainer', 'validation.everySteps', validation.everySteps);
  if (validation.everyEpochs !== undefined)
    check.positive('trainer', 'validation.everyEpochs', validation.everyEpochs);
  if (validation.patience !== undefined)
    check.positiveInteger('trainer', 'validation.patience', validation.patience);
  if (validation.minDelta !== undefined)
    check.finite('trainer', 'validation.minDelta', validation.minDelta);
  if (validation.stoppingThreshold !== undefined)
    check.finite('trainer', 'validation.stoppingThreshold', validation.stoppingThreshold);
}
