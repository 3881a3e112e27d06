/** One fit: from data and settings to a trained model. */
import { createHash } from 'node:crypto';
import { type Adapter, type App, type Model } from '@peft/core';
import { chatTemplateSource, holdoutSplit, type Table } from '@peft/data';
import { check, PeftError, show } from '@peft/errors';
import {
  CLOCK,
  createBatchOrder,
  TRAINER,
  type CheckpointStore,
  type TrainingData,
  type TrainResult,
} from '@peft/trainer';
import {
  describeBase,
  loadBaseModel,
  openBaseModel,
  type BaseModel,
  type EventBody,
} from '../model/base-model.js';
import { chooseTask } from './choose-task.js';
import {
  overrideHyperparameters,
  resolveHyperparameters,
  type HyperparameterInput,
  type HyperparameterKey,
  type Hyperparameters,
} from '../settings/hyperparameters.js';
import { planFit, quantizationOf, type FitMemory } from './fit-memory.js';
import { learningRateGroups } from '../settings/learning-rate-groups.js';
import { namedMethod } from '../methods/named-method.js';
import { ARCHITECTURES, MODEL_RESOLVER, PREDICTOR_METRICS } from '../predictor-module.js';
import { ADAPTER, disposeState, type PredictorState } from '../model/predictor-state.js';
import type {
  FitOptions,
  FitSummary,
  PredictorData,
  PredictorOptions,
} from '../settings/predictor-types.js';
import { readTrainingData } from '../data/read-data.js';
import {
  optimizerOf,
  requireStatePlace,
  runSizes,
  scheduleOf,
  stateStoreOf,
  trainOptionsOf,
} from './run-plan.js';
import { startEngine } from '../engine/start-engine.js';
import { trainedSpec } from './trained-spec.js';
import { rowWarning } from '../data/row-report.js';
import type {
  DataTools,
  PredictorTask,
  TaskTools,
  WatchedMetric,
} from '../tasks/predictor-task.js';

export interface FitRequest {
  readonly app: App;
  readonly predictor: PredictorOptions;
  readonly data: PredictorData;
  readonly options: FitOptions;
  /** A further fit goes on with this model. */
  readonly previous: PredictorState | undefined;
  readonly store: CheckpointStore;
  readonly runId: string;
  /** When the fit was called. */
  readonly startedAtMs: number;
  readonly emit: (event: EventBody) => void;
}

/** What a further fit cannot change. */
const FIXED: readonly HyperparameterKey[] = Object.freeze([
  'model.hf_text.checkpoint_name',
  'model.hf_text.pooling_mode',
  'model.hf_text.max_text_len',
  'data.pos_label',
  'optim.peft',
  'optim.lora.r',
  'optim.lora.alpha',
  'optim.lora.filter',
  'optim.lora.module_filter',
  'optim.lora.family_targets',
  'model.hf_text.quantization',
  'env.engine',
  'env.precision',
]);

interface FitData {
  readonly train: Table;
  readonly validation: Table;
  readonly task: PredictorTask;
  readonly metric: WatchedMetric;
}

/**
 * Checks settings and data before a model is loaded, trains, and returns the state that the
 * predictor keeps. On failure a first fit leaves nothing allocated.
 * @throws PEFT_RUN_ABORTED and what its parts throw
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
  const data = await prepareData(request, settings);
  options.signal?.throwIfAborted();
  if (previous)
    return trainOn(
      request,
      { settings },
      data,
      await examplesOf(request, settings, data, previous.base),
      previous,
    );
  const base = await openBase(request, settings);
  const engine = await startEngine(request.app, settings, request.emit);
  let model: Model | undefined;
  try {
    const spec = trainedSpec(
      options.method ?? namedMethod(request.app, settings, data.task.name),
      describeBase(base, data.task.head(settings)),
      request.emit,
    );
    const examples = await examplesOf(request, settings, data, base);
    const memory = await planFit({
      app: request.app,
      settings,
      base,
      engine,
      task: data.task,
      spec,
      data: examples.data,
      emit: request.emit,
    });
    model = loadBaseModel(base, engine, {
      head: data.task.head(settings),
      seed: settings['env.seed'],
      quantization: quantizationOf(memory.settings),
      emit: request.emit,
    });
    model.addAdapter(ADAPTER, spec, { seed: settings['env.seed'] });
    return await trainOn(request, memory, data, examples, {
      engine,
      model,
      base,
      fileColumns: options.columns ?? tableColumns(request.data),
      method: spec.name,
      isNamedMethod: options.method === undefined,
    });
  } catch (error) {
    if (model) disposeState({ model, engine });
    else engine.dispose();
    throw error;
  }
}

/** A table knows its columns: later files of the same kind need no header. */
const tableColumns = (data: PredictorData): readonly string[] | undefined =>
  typeof data === 'object' && 'columns' in data ? data.columns : undefined;

function fitSettings({ predictor, options, previous }: FitRequest): Hyperparameters {
  const inputs: HyperparameterInput[] = [
    options.hyperparameters ?? {},
    options.seed === undefined ? {} : { 'env.seed': options.seed },
  ];
  const preset = options.presets ?? predictor.presets;
  if (!previous)
    return resolveHyperparameters(
      [predictor.hyperparameters ?? {}, ...inputs],
      preset,
      predictor.task,
    );
  const asked =
    options.presets === undefined
      ? overrideHyperparameters(previous.settings, inputs)
      : resolveHyperparameters(
          [predictor.hyperparameters ?? {}, ...inputs],
          preset,
          predictor.task,
        );
  const settings =
    asked['model.hf_text.quantization'] === 'auto'
      ? overrideHyperparameters(asked, {
          'model.hf_text.quantization': previous.settings['model.hf_text.quantization'],
        })
      : asked;
  const changed = FIXED.filter(
    (key) => JSON.stringify(settings[key]) !== JSON.stringify(previous.settings[key]),
  );
  if (changed.length || options.method) {
    const [key] = changed;
    throw new PeftError(
      'PEFT_FIT_CHANGED',
      `predictor: a further fit goes on with the model as it is; ${key === undefined ? 'its method' : `${key} (${show(previous.settings[key])} so far, ${show(settings[key])} now)`} cannot change.`,
      { hint: 'make a new PeftPredictor for it' },
    );
  }
  return settings;
}

/** Columns that are named before the table is read: a first line that holds them is a header. */
function wantedColumns(
  { label, columnRoles = {} }: PredictorOptions,
  previous: PredictorState | undefined,
): readonly string[] {
  if (previous) return previous.task.columns;
  return label === undefined ? Object.values(columnRoles) : [label];
}

async function prepareData(request: FitRequest, settings: Hyperparameters): Promise<FitData> {
  const { app, predictor, options, previous, emit } = request;
  const seed = settings['env.seed'];
  if (!options.method) namedMethod(app, settings, predictor.task);
  if (options.sample !== undefined) check.positiveInteger('fit', 'sample', options.sample);
  if (options.timeLimitSeconds !== undefined)
    check.positive('fit', 'timeLimitSeconds', options.timeLimitSeconds);
  const reading = { ...options, wanted: wantedColumns(predictor, previous) };
  const whole = await readTrainingData(request.data, reading);
  const given = options.sample === undefined ? whole : whole.sample(options.sample, seed);
  const tuning =
    options.tuningData === undefined
      ? undefined
      : await readTrainingData(options.tuningData, reading);
  for (const table of tuning ? [whole, tuning] : [whole])
    for (const warning of table.warnings ?? []) emit({ type: 'run/warned', ...warning });
  const warn = (message: string): void =>
    emit({
      type: 'run/warned',
      code: 'PEFT_COLUMN_TYPE',
      message,
      hint: "say what a column is with columnTypes: { COLUMN: 'text' }",
    });
  const task =
    previous?.task ??
    chooseTask({
      predictor,
      options,
      settings,
      table: given,
      validation: tuning,
      metrics: app.get(PREDICTOR_METRICS),
      warn,
      unread: (message) =>
        emit({
          type: 'run/warned',
          code: 'PEFT_COLUMN_UNUSED',
          message,
          hint: 'name the columns of other roles with columnRoles (CLI: --map ROLE=COLUMN)',
        }),
    });
  const metric =
    predictor.evalMetric === undefined
      ? (previous?.metric ?? task.metric(undefined))
      : task.metric(predictor.evalMetric);
  task.checkRows(given, []);
  const { train, validation } = tuning
    ? { train: given, validation: tuning }
    : split(given, task, seed, options.holdoutFraction);
  task.checkRows(validation, [metric]);
  return { train, validation, task, metric };
}

function split(
  table: Table,
  task: PredictorTask,
  seed: number,
  fraction: number | undefined,
): { readonly train: Table; readonly validation: Table } {
  const classes = task.strata?.(table);
  const rows = holdoutSplit(table.rows, {
    seed,
    ...(fraction !== undefined && { fraction }),
    ...(classes && { classes }),
  });
  return { train: table.select(rows.train), validation: table.select(rows.validation) };
}

async function openBase(
  { app, options, emit }: FitRequest,
  settings: Hyperparameters,
): Promise<BaseModel> {
  const template = settings['data.chat_template'];
  const chatTemplate = template === null ? undefined : chatTemplateSource(template);
  const base = await openBaseModel(settings['model.hf_text.checkpoint_name'], {
    resolver: app.get(MODEL_RESOLVER),
    architectures: app.get(ARCHITECTURES),
    emit,
    signal: options.signal,
  });
  return { ...base, chatTemplate };
}

type FitModel = Pick<
  PredictorState,
  'engine' | 'model' | 'base' | 'fileColumns' | 'method' | 'isNamedMethod'
>;

/** The training rows as tokens, with how many of them there are to train on. */
async function examplesOf(
  request: FitRequest,
  settings: Hyperparameters,
  { task, train }: FitData,
  base: BaseModel,
): Promise<Examples> {
  const told = rowTools(request, 'training data');
  const { signal } = request.options;
  const data = await task.examples(train, { base, settings, signal, ...told.tools });
  return { data, rows: train.rows - told.skipped() };
}

interface Examples {
  readonly data: TrainingData<never>;
  /** Rows of the table that train. */
  readonly rows: number;
}

/** Emits the warning of a table's rows once, and counts those that are left out. */
function rowTools(
  { emit }: FitRequest,
  what: string,
): { readonly tools: Pick<DataTools, 'tell' | 'warn'>; readonly skipped: () => number } {
  let skipped = 0;
  return {
    skipped: () => skipped,
    tools: {
      tell(report) {
        skipped = report.skipped.length;
        const warning = rowWarning(report, what);
        if (warning) emit(warning);
      },
      warn: (warning) => emit({ type: 'run/warned', ...warning }),
    },
  };
}

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
  const { microBatchSize, batchSize } = runSizes(settings);
  const order = createBatchOrder({
    lengths: data.lengths,
    batchSize,
    microBatchSize,
    seed: settings['env.seed'],
  });
  const groups = groupsOf(model.adapter(ADAPTER), settings, emit);
  const timeLimitMs =
    options.timeLimitSeconds === undefined
      ? undefined
      : Math.max(1, options.timeLimitSeconds * 1000 - (app.get(CLOCK).now() - startedAtMs));
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
      ...(checkpointing !== undefined && { gradientCheckpointing: checkpointing }),
      seed: settings['env.seed'],
      resume: options.resume ?? false,
      resumeFrom: options.resumeFrom,
      settings: dataFingerprints(fitData),
      ...(timeLimitMs !== undefined && { timeLimitMs }),
    },
    ...(options.signal && { signal: options.signal }),
  });
  if (result.reason === 'aborted') throw abortedError(request, result.step);
  const validationScore =
    result.selected.score ??
    result.best?.score ??
    (await score(options.signal)).metrics[metric.name]!;
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
    task,
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

/** A resumed run must see the same data. */
function dataFingerprints({ train, validation, task }: FitData): Record<string, string> {
  const hash = (table: Table): string => {
    const made = createHash('sha256');
    for (const column of task.columns)
      if (table.has(column)) made.update(JSON.stringify([column, table.values(column)]));
    return made.digest('hex');
  };
  return { 'training data': hash(train), 'validation data': hash(validation) };
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

interface ScoredRows {
  readonly metric: WatchedMetric;
  /** Rows that were used, without those that are left out. */
  readonly trainingRows: number;
  readonly validationRows: number;
}

function summaryOf(
  result: TrainResult,
  score: number,
  { metric, trainingRows, validationRows }: ScoredRows,
  model: Model,
  method: string,
  trainingSeconds: number,
): FitSummary {
  const { trainable, total } = model.parameterCounts();
  return Object.freeze({
    metric: metric.name,
    validationScore: score,
    ...(result.loss !== undefined && { trainingLoss: result.loss }),
    trainingSeconds,
    steps: result.step,
    reason: result.reason as FitSummary['reason'],
    averagedSteps: result.selected.steps,
    trainingRows,
    validationRows,
    peakMemoryBytes: result.peakMemoryBytes,
    method,
    engine: `${model.engine.name} (${model.engine.precision})`,
    trainableParameters: trainable,
    totalParameters: total,
  });
}
