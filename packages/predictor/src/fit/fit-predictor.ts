/** One fit: from data and settings to a trained model. */
import type { Adapter, App, Model, Stage } from '@peft/core';
import { PeftError } from '@peft/errors';
import { CLOCK, COLLECTIVE, rankPlace, TRAINER } from '@peft/trainer';
import { checkModelTasks } from '../data/task-ids.js';
import { PIPELINE, SHARDED_BASE } from '../predictor-module.js';
import { startEngine } from '../engine/start-engine.js';
import { loadBaseModel } from '../model/base-model.js';
import { ADAPTER, disposeState, type PredictorState } from '../model/predictor-state.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { PredictorData } from '../settings/predictor-types.js';
import { learningRateGroups } from '../settings/learning-rate-groups.js';
import type { TaskTools } from '../tasks/predictor-task.js';
import { dataFingerprints, prepareData, type FitData } from './fit-data.js';
import { quantizationOf, type FitMemory } from './fit-memory.js';
import type { FitRequest } from './fit-request.js';
import { fitSettings } from './fit-settings.js';
import { examplesOf, openBase, prepareFit, rowTools, type Examples } from './prepare-fit.js';
import { summaryOf } from './fit-summary.js';
import {
  optimizerOf,
  requireStatePlace,
  batchOrderOf,
  scheduleOf,
  stateStoreOf,
  trainOptionsOf,
} from './run-plan.js';
import { specFromData } from './start-data.js';
import { startAdapter, tellReference } from './start-adapter.js';

/**
 * Checks settings and data before a model is loaded, trains, and returns the state that the
 * predictor keeps. On failure a first fit leaves nothing allocated.
 * @throws PEFT_RUN_ABORTED, PEFT_RANKS_DIFFER and what its parts throw
 */
export async function fitPredictor(request: FitRequest): Promise<PredictorState> {
  try {
    return await prepareAndTrain(request);
  } catch (error) {
    const { signal } = request.options;
    throw signal?.aborted && error === signal.reason ? abortedError(request, 0) : error;
  }
}

async function prepareAndTrain(request: FitRequest): Promise<PredictorState> {
  const { previous, options } = request;
  const settings = fitSettings(request);
  requireStatePlace(settings);
  const given = await prepareData(request, settings);
  options.signal?.throwIfAborted();
  if (previous) {
    requireWhole(request.app);
    checkModelTasks(given.task, [given.train, given.validation], previous.model);
    options.beforeTraining?.(previous.model);
    return trainOn(
      request,
      { settings },
      given,
      await examplesOf(request, settings, given, previous.base),
      previous,
    );
  }
  const opened = await openBase(request, settings);
  const engine = await startEngine(request.app, settings, request.emit);
  let model: Model | undefined;
  try {
    const prepared = await prepareFit(request, settings, given, opened, engine);
    const { data, base, examples, spec, isFresh, memory } = prepared;
    model = loadBaseModel(base, engine, {
      head: data.task.head(settings),
      seed: settings['env.seed'],
      quantization: quantizationOf(memory.settings),
      stage: stageOfRank(request.app, memory.stages),
      shardRanks: request.app.get(SHARDED_BASE) ? request.app.get(COLLECTIVE) : undefined,
      emit: request.emit,
    });
    const attached = await startAdapter(
      model,
      {
        spec: isFresh ? await specFromData(model, spec, data, examples, memory.settings) : spec,
        folder: options.adapter,
        beneath: options.baseAdapter,
        seed: settings['env.seed'],
      },
      request.app,
      request.emit,
    );
    checkModelTasks(data.task, [data.train, data.validation], model);
    if (options.adapter !== undefined) tellReference(data.task, settings, request.emit);
    options.beforeTraining?.(model);
    return await trainOn(request, memory, data, examples, {
      engine,
      model,
      base,
      fileColumns: options.columns ?? tableColumns(request.data),
      method: attached,
      isNamedMethod: isFresh && options.method === undefined,
    });
  } catch (error) {
    if (model) disposeState({ model, engine });
    else engine.dispose();
    throw error;
  }
}

/** What this rank holds of a model that is cut. */
function stageOfRank(app: App, cut: FitMemory['stages']): Stage | undefined {
  if (!cut) return undefined;
  const ranks = { ...app.get(PIPELINE), collective: app.get(COLLECTIVE) };
  return { ...cut[rankPlace(ranks).stage]!, ranks };
}

/**
 * @throws PEFT_STAGE_UNSUPPORTED, PEFT_SHARDS_UNSUPPORTED for a finished model, which was loaded whole
 */
function requireWhole(app: App): void {
  const isCut = app.get(PIPELINE).stages > 1;
  if (!isCut && !app.get(SHARDED_BASE)) return;
  throw new PeftError(
    isCut ? 'PEFT_STAGE_UNSUPPORTED' : 'PEFT_SHARDS_UNSUPPORTED',
    'predictor: a finished run is trained further with the whole model on each rank.',
    {
      hint:
        `leave out ${isCut ? '--pipeline' : '--shard-base'}, or start a new run from its adapter: ` +
        '--adapter FOLDER',
    },
  );
}

/** A table knows its columns: later files of the same kind need no header. */
const tableColumns = (data: PredictorData): readonly string[] | undefined =>
  typeof data === 'object' && 'columns' in data ? data.columns : undefined;

type FitModel = Pick<
  PredictorState,
  'engine' | 'model' | 'base' | 'fileColumns' | 'method' | 'isNamedMethod'
>;

async function trainOn(
  request: FitRequest,
  { settings, checkpointing, plan }: FitMemory,
  fitData: FitData,
  { data, rows }: Examples,
  parts: FitModel,
): Promise<PredictorState> {
  const { app, options, emit, store, runId, startedAtMs } = request;
  const { model, base } = parts;
  const { task, metric, validation } = fitData;
  const told = rowTools(request, 'validation data');
  const tools: TaskTools = { model, base, settings, signal: options.signal, ...told.tools };
  const score = await task.scorer(validation, [metric], tools);
  const order = batchOrderOf(data.lengths, settings);
  const groups = groupsOf(model.adapter(ADAPTER), settings, emit);
  const timeLimitMs =
    options.timeLimitSeconds === undefined
      ? undefined
      : Math.max(1, options.timeLimitSeconds * 1000 - (app.get(CLOCK).now() - startedAtMs));
  const hashes = dataFingerprints(fitData);
  request.describe?.({
    settings: { task: task.name, metric: metric.name, ...settings },
    data: {
      training: { rows, sha256: hashes['training data'] },
      validation: { rows: validation.rows - told.skipped(), sha256: hashes['validation data'] },
    },
    base: { reference: base.reference, revision: base.revision, fingerprint: base.fingerprint },
    request: options.request,
  });
  const result = await app.get(TRAINER)({
    model,
    task: task.loss(settings),
    order,
    evaluate: score,
    store,
    runId,
    data: data,
    optimizer: optimizerOf(settings['optim.optim_type']),
    schedule: scheduleOf(data.lengths.length, settings),
    ...stateStoreOf(settings),
    group: groups.group,
    options: {
      ...trainOptionsOf(settings, metric),
      ...(checkpointing === undefined ? {} : { gradientCheckpointing: checkpointing }),
      seed: settings['env.seed'],
      resume: options.resume ?? false,
      resumeFrom: options.resumeFrom,
      restateSchedule: options.restateSchedule,
      settings: hashes,
      timeLimitMs,
    },
    signal: options.signal,
  });
  if (result.reason === 'aborted') throw abortedError(request, result.step);
  const settled = await task.afterFit?.(validation, tools);
  const scoreNow = settled ? await settled.scorer(validation, [metric], tools) : score;
  const validationScore =
    (settled ? undefined : (result.selected.score ?? result.best?.score)) ??
    (await scoreNow(options.signal)).metrics[metric.name]!;
  const summary = summaryOf(
    result,
    validationScore,
    { metric, trainingRows: rows, validationRows: validation.rows - told.skipped() },
    model,
    parts.method,
    (app.get(CLOCK).now() - startedAtMs) / 1000,
  );
  return {
    ...parts,
    task: settled ?? task,
    metric,
    settings,
    summary: plan ? { ...summary, plannedPeakBytes: plan.peakBytes } : summary,
  };
}

function groupsOf(
  { description, parameters }: Adapter,
  settings: Hyperparameters,
  emit: FitRequest['emit'],
) {
  const groups = learningRateGroups(
    description,
    [...parameters.values()].filter(({ trainable }) => trainable),
    settings,
  );
  if (groups.problem !== undefined)
    emit({
      type: 'run/warned',
      code: 'PEFT_LAYER_IDS',
      message: `layer-wise learning rates are off: ${groups.problem}.`,
    });
  return groups;
}

function abortedError(
  { predictor: { path }, options: { signal } }: FitRequest,
  step: number,
): PeftError {
  return new PeftError('PEFT_RUN_ABORTED', `predictor: the run was stopped after step ${step}.`, {
    hint:
      path === undefined
        ? 'with a path its checkpoint would be kept to go on from'
        : 'go on with fit(…, { resume: true })',
    cause: signal?.reason,
  });
}
