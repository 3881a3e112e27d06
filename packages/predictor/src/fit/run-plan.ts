/** From settings to what the trainer is given: batches, optimiser, schedule, validation. */
import {
  assertRunsOnDevice,
  autogluonSchedule,
  autogluonWarmupSteps,
  constantSchedule,
  createOptimizer,
  deviceStateStore,
  pagedStateStore,
  type LearningRateSchedule,
  type Optimizer,
  type StateStore,
} from '@peft/optim';
import type { BatchPlanOptions } from '@peft/data';
import { repeatBatches } from '@peft/preference';
import {
  createBatchOrder,
  type BatchOrder,
  type Selection,
  type TrainOptions,
  type ValidationOptions,
} from '@peft/trainer';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { WatchedMetric } from '../tasks/predictor-task.js';

/** Rows of the passes of a run. */
export interface RunSizes {
  /** Rows of a forward pass. */
  readonly microBatchSize: number;
  /** Rows of an optimiser step: a whole number of micro-batches. */
  readonly batchSize: number;
  /** Rows of a forward pass without gradients. */
  readonly evaluationBatchSize: number;
}

/** Of a forward pass, where `auto` has not been decided otherwise. */
const DEFAULT_ROWS = 8;

/** `batch_size` is made of ⌊batch_size / per_gpu_batch_size⌋ micro-batches, at least one. */
export function runSizes(settings: Hyperparameters): RunSizes {
  const wanted = settings['env.batch_size'];
  const rows =
    settings['env.per_gpu_batch_size'] === 'auto'
      ? DEFAULT_ROWS
      : settings['env.per_gpu_batch_size'];
  const microBatchSize = Math.min(rows, wanted);
  const accumulated = Math.max(1, Math.floor(wanted / microBatchSize));
  return {
    microBatchSize,
    batchSize: accumulated * microBatchSize,
    evaluationBatchSize: Math.max(1, Math.round(rows * settings['env.inference_batch_size_ratio'])),
  };
}

/** The steps of a run; GRPO may take several to each batch. */
export const batchOrderOf = (
  lengths: BatchPlanOptions['lengths'],
  settings: Hyperparameters,
): BatchOrder => {
  const { batchSize, microBatchSize } = runSizes(settings);
  const order = createBatchOrder({
    lengths,
    batchSize,
    microBatchSize,
    seed: settings['env.seed'],
  });
  return repeatBatches(order, updatesOf(settings));
};

/** Folders of earlier versions do not have it. */
const updatesOf = (settings: Hyperparameters): number => settings['optim.policy_updates'] ?? 1;

/**
 * T of the schedule: ⌊micro-batches of an epoch · epochs / accumulated⌋, whatever `max_steps` says.
 */
export function scheduledSteps(rows: number, settings: Hyperparameters): number {
  const { microBatchSize, batchSize } = runSizes(settings);
  return Math.floor(
    (Math.ceil(rows / microBatchSize) * settings['optim.max_epochs'] * updatesOf(settings)) /
      (batchSize / microBatchSize),
  );
}

export function scheduleOf(rows: number, settings: Hyperparameters): LearningRateSchedule {
  const totalSteps = scheduledSteps(rows, settings);
  const common = {
    learningRate: settings['optim.lr'],
    warmupSteps: autogluonWarmupSteps(totalSteps, settings['optim.warmup_steps']),
  };
  const name = settings['optim.lr_schedule'];
  if (name === 'constant') return constantSchedule(common);
  return autogluonSchedule(name, {
    ...common,
    totalSteps,
    endLearningRate: settings['optim.end_lr'],
  });
}

/**
 * AutoGluon's constants: AdamW with ε = 1e-6, SGD with momentum 0.9, Adafactor at the given rate.
 */
export function optimizerOf(name: Hyperparameters['optim.optim_type']): Optimizer {
  switch (name) {
    case 'adamw':
      return createOptimizer('adamw', { epsilon: 1e-6 });
    case 'sgd':
      return createOptimizer('sgd', { momentum: 0.9 });
    case 'adafactor':
      return createOptimizer('adafactor', { scaleParameter: true, relativeStep: false });
    default:
      return createOptimizer(name);
  }
}

/** Paged, where not all of the state may stay in memory or on the device. */
export function stateStoreOf(settings: Hyperparameters): { readonly stateStore?: StateStore } {
  // folders of earlier versions have neither
  const megabytes = settings['optim.resident_state_mb'] ?? null;
  const budget = megabytes === null ? {} : { residentBytes: Math.round(megabytes * 1e6) };
  if (settings['optim.state_device'] === 'device') return { stateStore: deviceStateStore(budget) };
  return budget.residentBytes === undefined ? {} : { stateStore: pagedStateStore(budget) };
}

/**
 * @throws PEFT_OPTIM_DEVICE_UNSUPPORTED when the state is to lie on a device and the optimiser
 *   computes on the host alone
 */
export function requireStatePlace(settings: Hyperparameters): void {
  if (settings['optim.state_device'] === 'device')
    assertRunsOnDevice(optimizerOf(settings['optim.optim_type']));
}

const SELECTIONS: Readonly<Record<Hyperparameters['optim.top_k_average_method'], Selection>> = {
  greedy_soup: 'greedy-soup',
  uniform_soup: 'uniform-soup',
  best: 'best',
};
/** AutoGluon stops when the metric is that near to its optimum. */
const STOPPING_MARGIN = 1e-7;

/** Options of `train` that the settings decide. */
export function trainOptionsOf(
  settings: Hyperparameters,
  metric: WatchedMetric,
): TrainOptions & { readonly validation: ValidationOptions } {
  const { batchSize, microBatchSize } = runSizes(settings);
  const interval = settings['optim.val_check_interval'];
  return {
    epochs: settings['optim.max_epochs'],
    maxSteps: settings['optim.max_steps'] > 0 ? settings['optim.max_steps'] : undefined,
    maxGradientNorm: settings['optim.gradient_clip_val'],
    // folders of earlier versions have none
    dropout: settings['optim.dropout'] ?? true,
    embeddingNoise: settings['optim.neftune_alpha'],
    gradientCheckpointing: settings['model.hf_text.gradient_checkpointing'],
    topK: settings['optim.top_k'],
    select: SELECTIONS[settings['optim.top_k_average_method']],
    validation: {
      metric: metric.name,
      direction: metric.greaterIsBetter ? 'max' : 'min',
      patience: settings['optim.patience'],
      tieMetric: metric.tieMetric,
      // a metric without a bound is never at its optimum
      stoppingThreshold:
        Number.isFinite(metric.optimum) && metric.tieMetric === undefined
          ? metric.optimum + (metric.greaterIsBetter ? -STOPPING_MARGIN : STOPPING_MARGIN)
          : undefined,
      ...(interval <= 1
        ? { everyEpochs: interval }
        : { everySteps: Math.max(1, Math.round((interval * microBatchSize) / batchSize)) }),
    },
  };
}
