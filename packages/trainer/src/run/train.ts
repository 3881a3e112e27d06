/** The training loop. */
import { randomUUID } from 'node:crypto';
import { SINGLE_RANK, type ModelBatch } from '@peft/core';
import { PeftError } from '@peft/errors';
import { hasDeviceMemory } from '@peft/ops';
import { deviceStateStore, memoryStateStore, type ParameterGroup } from '@peft/optim';
import { systemClock } from './clock.js';
import { START_OF_EARLY_STOPPING } from '../validation/early-stopping.js';
import { createGradientExchange } from '../ranks/exchange-gradients.js';
import { byRankZero } from '../ranks/rank-messages.js';
import { placeOf } from '../pipeline/place.js';
import { requireSharedTask, sharedModel } from '../ranks/require-shared-task.js';
import { requestOfRanks, requireSameRanks } from '../ranks/run-ranks.js';
import { createDeviceAccumulator } from '../step/device-accumulator.js';
import { createHostAccumulator } from '../step/host-accumulator.js';
import { DIVERGED } from '../step/divergence.js';
import { namedMemoryError } from '../step/memory-exhausted.js';
import { memoryCheckpointStore } from '../checkpoints/memory-checkpoint-store.js';
import { NO_NON_FINITE } from '../step/non-finite-guard.js';
import {
  keyedParameters,
  type EventBody,
  type RunContext,
  type TrainRequest,
} from './run-context.js';
import { resumeRun } from '../checkpoints/resume-choice.js';
import { watchMemory } from './run-memory.js';
import {
  dataSettings,
  hashSettings,
  jsonSafe,
  modelSettings,
  optimizerSettings,
  probeWeights,
} from './run-settings.js';
import { resolveOptions, type ResolvedOptions, type TrainOptions } from './train-options.js';
import type { BatchOrder } from '../validation/training-data.js';
import { trainingLoop, type EndReason } from './training-loop.js';
import { selectWeights, type SelectedWeights } from '../checkpoints/weight-selection.js';

/** How a run ended that did not fail. */
export interface TrainResult {
  readonly reason: EndReason;
  /** Optimiser steps done. */
  readonly step: number;
  /** Mean loss of the steps that this call did in its last epoch; none when it did no step. */
  readonly loss?: number;
  /** The best validation check. */
  readonly best?: { readonly step: number; readonly score: number };
  /** What the model has now. */
  readonly selected: SelectedWeights;
  readonly durationMs: number;
  readonly peakMemoryBytes: number;
}

const PLAIN_GROUP: ParameterGroup = Object.freeze({ learningRateScale: 1, weightDecay: 0 });

/**
 * Trains the active adapters of a model. Afterwards the model has the selected weights; when the
 * run was aborted, those of the last step. No tensor is left behind. The caller keeps the model,
 * the bus and the store.
 *
 * @throws PEFT_TRAIN_NOTHING_TRAINABLE, PEFT_TRAIN_NO_GRADIENT, PEFT_TRAIN_NO_DATA,
 *   PEFT_TRAIN_DIVERGED, PEFT_CHECKPOINT_WRITE, PEFT_CHECKPOINT_SETTINGS, PEFT_CHECKPOINT_EXISTS,
 *   PEFT_CONFIG_INVALID, PEFT_RANKS_DIFFER, PEFT_STAGE_RANKS, PEFT_STAGE_UNSUPPORTED,
 *   PEFT_SHARDS_UNSUPPORTED,
 *   PEFT_MEMORY_EXHAUSTED, PEFT_PAGE_FILE_DISK_FULL, PEFT_PAGE_FILE_MISSING,
 *   PEFT_PAGE_FILE_CORRUPT, and what task, data and evaluation throw; `run/ended` says `failed`
 *   then, or `diverged` with PEFT_TRAIN_DIVERGED.
 */
export async function train<B extends ModelBatch>(request: TrainRequest<B>): Promise<TrainResult> {
  const { model, task, collective = SINGLE_RANK } = request;
  placeOf(model, collective);
  requireSharedTask(sharedModel(model), task);
  // the first stage has all tables of a model
  const baseWeights = model.stage
    ? await byRankZero(collective, () => probeWeights(model))
    : await probeWeights(model);
  const run = await createRun(request, baseWeights);
  try {
    await requireSameRanks(run.collective, {
      ...run.settings,
      engine: run.state.engine,
      'has a checkpoint store': run.store !== undefined,
      'bytes of a bucket': String(run.options.bucketBytes ?? 'default'),
    });
    await run.store?.prepare?.();
    const resumedAtStep = await resumeRun(run);
    emitStart(run, resumedAtStep);
    const ended = await trainingLoop(run);
    const selected = ended === 'aborted' ? undefined : await selectWeights(run);
    const reason = selected ? ended : 'aborted';
    const end = {
      step: run.state.step,
      durationMs: run.clock.now() - run.startedAtMs,
      peakMemoryBytes: run.memory.peakBytes,
    };
    run.emit({ type: 'run/ended', reason, ...end });
    return {
      reason,
      ...end,
      loss: meanOf(run.epochLosses),
      selected: selected ?? { steps: [] },
      best: run.state.best,
    };
  } catch (cause) {
    const error = namedMemoryError(cause, run.savedStep);
    const shown = {
      code: error instanceof PeftError ? error.code : 'ERROR',
      message: error instanceof Error ? error.message : String(error),
    };
    run.emit({
      type: 'run/ended',
      reason: shown.code === DIVERGED ? 'diverged' : 'failed',
      step: run.state.step,
      durationMs: run.clock.now() - run.startedAtMs,
      peakMemoryBytes: run.memory.peakBytes,
      error: shown,
    });
    throw error;
  } finally {
    run.optimizerState.dispose();
    run.accumulator.dispose();
  }
}

/** Optimiser steps of a run that nothing ends early; schedules need it. */
export function plannedSteps(
  order: BatchOrder,
  options: Pick<TrainOptions, 'epochs' | 'maxSteps'>,
): number {
  const epochs = options.epochs ?? (options.maxSteps === undefined ? 1 : Infinity);
  return Math.min(options.maxSteps ?? Infinity, epochs * order.batches(0).length);
}

async function createRun<B extends ModelBatch>(
  given: TrainRequest<B>,
  baseWeights: string,
): Promise<RunContext<B>> {
  const { collective = SINGLE_RANK } = given;
  const { request, stop } = requestOfRanks(given, collective);
  const { model, clock = systemClock, optimizer, schedule, bus, runId = randomUUID() } = request;
  const options = resolveOptions(request.options ?? {}, request.evaluate !== undefined);
  const owned = keyedParameters(model);
  const trained = owned.filter(({ parameter }) => parameter.trainable);
  const trainables = trained.map(({ key, parameter }) => ({
    name: key,
    variable: parameter.value,
    group: request.group?.(parameter) ?? PLAIN_GROUP,
  }));
  if (request.data.lengths.length === 0 || request.order.batches(0).length === 0)
    throw new PeftError('PEFT_TRAIN_NO_DATA', 'trainer: there is no example to train on.', {
      hint: 'check the table and its filters',
    });
  const isOnDevice = hasDeviceMemory(model.engine);
  const optimizerState = optimizer.init(trainables, {
    store:
      request.stateStore ??
      (isOnDevice && optimizer.runsOnDevice ? deviceStateStore() : memoryStateStore()),
  });
  const settings = jsonSafe({
    ...modelSettings(model, baseWeights),
    ...optimizerSettings(optimizerState, trainables, schedule),
    ...dataSettings(request.data),
    ...lossSettings(request, options),
    // absent where nothing is rounded, so that any number of stages resumes it
    'bits between stages': model.stage?.ranks?.bits === 16 ? 16 : undefined,
    ...options.settings,
  });
  return {
    request,
    options,
    model,
    owned,
    trainables,
    optimizerState,
    accumulator: isOnDevice ? createDeviceAccumulator(trained) : createHostAccumulator(trained),
    collective,
    exchange:
      collective.size > 1
        ? createGradientExchange(
            collective,
            trained,
            placeOf(model, collective).stages,
            options.bucketBytes,
          )
        : undefined,
    stop,
    store: request.store ?? (options.select === 'last' ? undefined : memoryCheckpointStore()),
    settings,
    clock,
    memory: watchMemory(),
    startedAtMs: clock.now(),
    emit: (event: EventBody) => bus?.emit({ runId, atMs: clock.now(), ...event }),
    savedStep: undefined,
    epochLosses: [],
    state: {
      version: 1,
      step: 0,
      epoch: 0,
      stepInEpoch: 0,
      examples: 0,
      tokens: 0,
      elapsedMs: 0,
      lastCheckStep: 0,
      earlyStopping: START_OF_EARLY_STOPPING,
      top: [],
      nonFinite: NO_NON_FINITE,
      gradientSum: 'pairwise',
      lastBlock: 'head-rows',
      seed: options.seed,
      learningRate: schedule(0),
      engine: `${model.engine.name} (${model.engine.precision})`,
      settings,
      settingsHash: hashSettings(settings),
    },
  };
}

/** What decides a step's gradient beside model, optimiser and data. */
function lossSettings(
  {
    task,
    order,
  }: Pick<TrainRequest, 'order'> & {
    readonly task: { readonly name: string; readonly settings?: unknown };
  },
  options: ResolvedOptions,
): Record<string, unknown> {
  const {
    maxGradientNorm,
    dropout,
    embeddingNoise,
    seed,
    nonFinite = {},
    validation = null,
    topK,
  } = options;
  return {
    task: task.name,
    'task settings': task.settings ?? {},
    'batch order': order.settings,
    maxGradientNorm,
    dropout,
    'embedding noise': embeddingNoise || undefined,
    seed,
    nonFinite,
    validation,
    topK,
  };
}

function emitStart(run: RunContext, resumedAtStep: number | undefined): void {
  const { model, options, request } = run;
  const { trainable, total } = model.parameterCounts();
  const stepsPerEpoch = request.order.batches(0).length;
  const planned = Math.min(options.maxSteps, options.epochs * stepsPerEpoch);
  run.emit({
    type: 'run/started',
    modelType: model.description.modelType,
    method: model.activeAdapters.map((name) => model.adapter(name).spec.name).join(' + '),
    engine: run.state.engine,
    trainableParameters: trainable,
    totalParameters: total,
    plannedSteps: planned,
    plannedEpochs: Math.ceil(planned / stepsPerEpoch),
    resumedAtStep,
  });
}

const meanOf = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
