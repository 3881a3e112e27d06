/** What a fit would do, told before weights are read: for whoever starts runs from a form. */
import { compose, override, type App } from '@peft/core';
import type { TableWarning } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { MemoryPlan } from '@peft/memory-plan';
import { fullFineTuning } from '@peft/methods';
import type { Engine } from '@peft/ops';
import { plannedSteps } from '@peft/trainer';
import { startEngine } from '../engine/start-engine.js';
import { describeBase, type EventBody } from '../model/base-model.js';
import { predictorModule } from '../predictor-module.js';
import { FIT_KEYS, PREDICTOR_KEYS } from '../settings/option-keys.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitOptions, PredictorData, PredictorOptions } from '../settings/predictor-types.js';
import { checkTaskOptions } from '../fit/choose-task.js';
import { estimateSpeed, type SpeedEstimate } from './estimate-speed.js';
import { dataFingerprints, prepareData, type FitData } from '../fit/fit-data.js';
import { quantizationOf } from '../fit/fit-memory.js';
import type { FitParts } from '../fit/fit-request.js';
import { fitSettings } from '../fit/fit-settings.js';
import { openBase, prepareFit, type PreparedFit } from '../fit/prepare-fit.js';
import { batchOrderOf, requireStatePlace, runSizes, trainOptionsOf } from '../fit/run-plan.js';

/** What a fit would learn from. */
export interface FitDataPreview extends FitData {
  readonly settings: Hyperparameters;
  /** sha256 of the training and validation rows, as `run.json` has them. */
  readonly hashes: { readonly training: string; readonly validation: string };
  readonly warnings: readonly TableWarning[];
}

/** What a fit would do. */
export interface FitPreview extends FitDataPreview, Pick<PreparedFit, 'base' | 'examples'> {
  /** Absent where the memory cannot be planned; the warnings say why. */
  readonly plan?: MemoryPlan;
  /** Optimiser steps, if nothing ends the run before. */
  readonly steps: number;
  /** What would compute it, `native (bf16)`. */
  readonly engine: string;
  /** How fast, where nothing was trained yet. Absent where the engine cannot hold the base so. */
  readonly speed?: SpeedEstimate;
}

/**
 * Reads tables, chooses the task and splits off the validation rows, as `fit` would.
 * @throws what `fit` throws before it opens a model
 */
export const previewFitData = (
  predictor: PredictorOptions,
  data: PredictorData,
  options: FitOptions = {},
): Promise<FitDataPreview> => withParts(predictor, data, options, dataOf);

/**
 * Does what `fit` does before it reads weights: also opens the model, tokenises the rows and plans
 * the memory.
 * @throws what `fit` throws before it trains
 */
export const previewFit = (
  predictor: PredictorOptions,
  data: PredictorData,
  options: FitOptions = {},
): Promise<FitPreview> =>
  withParts(predictor, data, options, async (parts, warnings) => {
    const given = await dataOf(parts, warnings);
    const { settings } = given;
    options.signal?.throwIfAborted();
    const opened = await openBase(parts, settings);
    const engine = await startEngine(parts.app, settings, parts.emit);
    try {
      const prepared = await prepareFit(parts, settings, given, opened, engine);
      const { base, examples, memory } = prepared;
      const order = batchOrderOf(examples.data.lengths, memory.settings);
      return {
        ...given,
        ...prepared.data,
        settings: memory.settings,
        base,
        examples,
        plan: memory.plan,
        steps: plannedSteps(order, trainOptionsOf(memory.settings, given.metric)),
        engine: `${engine.name} (${engine.precision})`,
        speed: await speedOf(prepared, engine),
      };
    } finally {
      engine.dispose();
    }
  });

/** @returns undefined where the engine lacks the format */
async function speedOf(
  { base, data, spec, memory, examples }: PreparedFit,
  engine: Engine,
): Promise<SpeedEstimate | undefined> {
  const { settings, checkpointing } = memory;
  const { microBatchSize } = runSizes(settings);
  const lengths = Array.from(examples.data.lengths);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  try {
    return await estimateSpeed(describeBase(base, data.task.head(settings)), engine, {
      format:
        quantizationOf(settings)?.format ?? (engine.precision === 'bfloat16' ? 'bf16' : 'f32'),
      rows: (tokens / lengths.length) * microBatchSize,
      rowsPerMicroBatch: microBatchSize,
      isCheckpointed: typeof checkpointing === 'object' ? checkpointing.size > 0 : !!checkpointing,
      isWhole: spec.name === fullFineTuning().name,
      kernels: memory.plan?.operations ?? 0,
    });
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_WEIGHT_FORMAT') return undefined;
    throw error;
  }
}

async function dataOf(parts: FitParts, warnings: readonly TableWarning[]): Promise<FitDataPreview> {
  const settings = fitSettings(parts);
  requireStatePlace(settings);
  const data = await prepareData(parts, settings);
  const hashes = dataFingerprints(data);
  return {
    ...data,
    settings,
    hashes: { training: hashes['training data']!, validation: hashes['validation data']! },
    warnings,
  };
}

async function withParts<T>(
  predictor: PredictorOptions,
  data: PredictorData,
  options: FitOptions,
  body: (parts: FitParts, warnings: readonly TableWarning[]) => Promise<T>,
): Promise<T> {
  check.knownKeys('previewFit', predictor, PREDICTOR_KEYS);
  check.knownKeys('previewFit', options, FIT_KEYS);
  checkTaskOptions(predictor);
  const app: App = compose(
    predictorModule(predictor.onListenerError),
    ...(predictor.modules ?? []).map(override),
  );
  const warnings: TableWarning[] = [];
  const emit = (event: EventBody): void => {
    if (event.type === 'run/warned') warnings.push(event);
  };
  try {
    const parts = { app, predictor, data, options, previous: undefined, emit, isElsewhere: true };
    return await body(parts, warnings);
  } finally {
    app.dispose();
  }
}
