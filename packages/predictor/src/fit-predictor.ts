/** One fit: from data and settings to a trained model. */
import { createHash } from 'node:crypto';
import type { Adapter, App, Model } from '@peft/core';
import { getMetric, defaultMetric, holdoutSplit, inferProblemType, type Cell, type Metric, type ProblemType, type Table } from '@peft/data';
import { check, PeftError, show } from '@peft/errors';
import { CLOCK, createBatchOrder, createEvaluator, tableData, TRAINER, type CheckpointStore, type TrainResult } from '@peft/trainer';
import { loadBaseModel, openBaseModel, type BaseModel, type EventBody } from './base-model.js';
import { overrideHyperparameters, resolveHyperparameters, type HyperparameterInput, type HyperparameterKey, type Hyperparameters } from './hyperparameters.js';
import { learningRateGroups } from './learning-rate-groups.js';
import { namedMethod } from './named-method.js';
import { ARCHITECTURES, MODEL_RESOLVER, PREDICTOR_METRICS } from './predictor-module.js';
import { ADAPTER, disposeState, type PredictorState } from './predictor-state.js';
import type { FitOptions, FitSummary, PredictorData, PredictorOptions } from './predictor-types.js';
import { checkMetric, fitProblem, labelsOf, type Problem } from './problem.js';
import { readTrainingData } from './read-data.js';
import { optimizerOf, runSizes, scheduleOf, trainOptionsOf } from './run-plan.js';
import { startEngine } from './start-engine.js';
import { chooseTextColumns, textSettings, tokenizeRows } from './text-columns.js';

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
const FIXED: readonly HyperparameterKey[] = Object.freeze(['model.hf_text.checkpoint_name', 'model.hf_text.pooling_mode', 'model.hf_text.max_text_len', 'data.pos_label', 'optim.peft', 'optim.lora.r', 'optim.lora.alpha', 'optim.lora.filter', 'optim.lora.module_filter', 'env.engine', 'env.precision']);

interface FitData {
  readonly train: Table;
  readonly validation: Table;
  readonly trainLabels: readonly Cell[];
  readonly validationLabels: readonly Cell[];
  readonly problem: Problem;
  readonly metric: Metric;
  readonly columns: readonly string[];
}

/**
 * Checks settings and data before a model is loaded, trains, and returns the state that the predictor keeps. On failure a first fit
 * leaves nothing allocated.
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
  const data = await prepareData(request, settings);
  options.signal?.throwIfAborted();
  if (previous) return trainOn(request, settings, data, previous);
  const base = await openBase(request, settings);
  const engine = await startEngine(request.app, settings, request.emit);
  let model: Model | undefined;
  try {
    model = loadBaseModel(base, engine, { head: { kind: 'pooled-linear', outputs: data.problem.outputs, pooling: settings['model.hf_text.pooling_mode'] === 'mean' ? 'mean' : 'first' }, seed: settings['env.seed'], emit: request.emit });
    const spec = options.method ?? namedMethod(request.app, settings);
    const { parts, wrappedSites } = model.addAdapter(ADAPTER, spec, { seed: settings['env.seed'] });
    const idle = parts.filter(({ part, sites }) => sites.length === 0 && part.method.attach.linear).map(({ part }) => part.method.name as string);
    if (idle.length && wrappedSites.length === 0) request.emit({ type: 'run/warned', code: 'PEFT_NOTHING_WRAPPED', message: `${idle.join(' and ')} found no layer to stand on in this ${model.description.modelType}: little more than the head trains.`, hint: 'name its layers with optim.lora.filter; peft inspect MODEL --sites lists them' });
    const texts = textSettings(data.columns, settings['model.hf_text.max_text_len'], base.config, base.tokenizer);
    return await trainOn(request, settings, data, { engine, model, base, texts, fileColumns: options.columns, method: spec.name, isNamedMethod: options.method === undefined });
  } catch (error) {
    if (model) disposeState({ model, engine });
    else engine.dispose();
    throw error;
  }
}

function fitSettings({ predictor, options, previous }: FitRequest): Hyperparameters {
  const inputs: HyperparameterInput[] = [options.hyperparameters ?? {}, options.seed === undefined ? {} : { 'env.seed': options.seed }];
  const preset = options.presets ?? predictor.presets;
  if (!previous) return resolveHyperparameters([predictor.hyperparameters ?? {}, ...inputs], preset);
  const settings = options.presets === undefined ? overrideHyperparameters(previous.settings, inputs) : resolveHyperparameters([predictor.hyperparameters ?? {}, ...inputs], preset);
  const changed = FIXED.filter((key) => JSON.stringify(settings[key]) !== JSON.stringify(previous.settings[key]));
  if (changed.length || options.method) {
    const [key] = changed;
    throw new PeftError('PEFT_FIT_CHANGED', `predictor: a further fit goes on with the model as it is; ${key === undefined ? 'its method' : `${key} (${show(previous.settings[key])} so far, ${show(settings[key])} now)`} cannot change.`, { hint: 'make a new PeftPredictor for it' });
  }
  return settings;
}

async function prepareData(request: FitRequest, settings: Hyperparameters): Promise<FitData> {
  const { predictor: { label }, options, previous } = request;
  const seed = settings['env.seed'];
  if (!options.method) namedMethod(request.app, settings);
  if (options.sample !== undefined) check.positiveInteger('fit', 'sample', options.sample);
  if (options.timeLimitSeconds !== undefined) check.positive('fit', 'timeLimitSeconds', options.timeLimitSeconds);
  const whole = await readTrainingData(request.data, options);
  labelsOf(whole.column(label), label, whole.source);
  const given = options.sample === undefined ? whole : whole.sample(options.sample, seed);
  const tuning = options.tuningData === undefined ? undefined : await readTrainingData(options.tuningData, options);
  const { type, columns } = previous ? { type: previous.problem.type, columns: previous.texts.columns } : chooseProblem(request, given, tuning);
  const problem = previous?.problem ?? fitProblem(type, given.column(label), settings['data.pos_label']);
  const { train, validation } = tuning ? { train: given, validation: tuning } : split(given, label, problem, seed, options.holdoutFraction);
  const metric = metricOf(request, problem.type);
  const validationLabels = labelsOf(validation.column(label), label, validation.source);
  checkMetric(metric, problem, validationLabels);
  for (const column of columns) for (const table of [train, validation]) table.column(column);
  return { train, validation, trainLabels: train.column(label), validationLabels, problem, metric, columns };
}

function chooseProblem({ predictor, options, emit }: FitRequest, table: Table, validation: Table | undefined): { readonly type: ProblemType; readonly columns: readonly string[] } {
  const { label, problemType } = predictor;
  const type = inferProblemType(table, label, { ...(validation && { validation }), ...(problemType !== undefined && { given: problemType }) });
  const { columnTypes, textColumns } = options;
  const { columns, warnings } = chooseTextColumns(table, { label, ...(validation && { validation }), ...(columnTypes && { columnTypes }), ...(textColumns && { textColumns }) });
  for (const message of warnings) emit({ type: 'run/warned', code: 'PEFT_COLUMN_TYPE', message, hint: "say what a column is with columnTypes: { COLUMN: 'text' }" });
  return { type, columns };
}

function split(table: Table, label: string, problem: Problem, seed: number, fraction: number | undefined): { readonly train: Table; readonly validation: Table } {
  const rows = holdoutSplit(table.rows, { seed, ...(fraction !== undefined && { fraction }), ...(problem.type !== 'regression' && { classes: problem.encode(table.column(label)) }) });
  return { train: table.select(rows.train), validation: table.select(rows.validation) };
}

function metricOf({ app, predictor: { evalMetric }, previous }: FitRequest, type: ProblemType): Metric {
  if (evalMetric === undefined) return previous?.metric ?? defaultMetric(type);
  return typeof evalMetric === 'string' ? getMetric(evalMetric, app.get(PREDICTOR_METRICS)) : evalMetric;
}

function openBase({ app, options, emit }: FitRequest, settings: Hyperparameters): Promise<BaseModel> {
  return openBaseModel(settings['model.hf_text.checkpoint_name'], { resolver: app.get(MODEL_RESOLVER), architectures: app.get(ARCHITECTURES), emit, signal: options.signal });
}

type FitModel = Pick<PredictorState, 'engine' | 'model' | 'base' | 'texts' | 'fileColumns' | 'method' | 'isNamedMethod'>;

async function trainOn(request: FitRequest, settings: Hyperparameters, data: FitData, parts: FitModel): Promise<PredictorState> {
  const { app, options, emit, store, runId, startedAtMs } = request;
  const { model, base, texts, engine } = parts;
  const { problem, metric, train, validation } = data;
  const adapter = model.adapter(ADAPTER);
  const tokens = await tokenizeRows(train, texts, base.tokenizer, options.signal);
  const validationTokens = await tokenizeRows(validation, texts, base.tokenizer, options.signal);
  const labels = problem.encode(data.trainLabels);
  const { microBatchSize, batchSize, evaluationBatchSize } = runSizes(settings);
  const order = createBatchOrder({ lengths: tokens.lengths, batchSize, microBatchSize, seed: settings['env.seed'] });
  const task = problem.task({ labelSmoothing: settings['optim.label_smoothing'] });
  const evaluate = createEvaluator({ model, task, data: tableData(validationTokens, problem.encode(data.validationLabels)) as never, score: problem.scorer([metric], data.validationLabels), batchSize: evaluationBatchSize });
  const groups = groupsOf(adapter, settings, emit);
  const timeLimitMs = options.timeLimitSeconds === undefined ? undefined : Math.max(1, options.timeLimitSeconds * 1000 - (app.get(CLOCK).now() - startedAtMs));
  const result = await app.get(TRAINER)({
    model, task, order, evaluate, store, runId,
    data: tableData(tokens, labels) as never,
    optimizer: optimizerOf(settings['optim.optim_type']),
    schedule: scheduleOf(train.rows, settings),
    group: groups.group,
    options: {
      ...trainOptionsOf(settings, metric),
      seed: settings['env.seed'],
      resume: options.resume ?? false,
      settings: dataFingerprints(data, texts.columns, request.predictor.label),
      ...(timeLimitMs !== undefined && { timeLimitMs }),
    },
    ...(options.signal && { signal: options.signal }),
  });
  if (result.reason === 'aborted') throw abortedError(request, result.step);
  const score = result.selected.score ?? result.best?.score ?? (await evaluate(options.signal)).metrics[metric.name]!;
  const summary = summaryOf(result, score, data, model, parts.method, (app.get(CLOCK).now() - startedAtMs) / 1000);
  return { ...parts, engine, problem, metric, settings, summary };
}

function groupsOf({ description, parameters }: Adapter, settings: Hyperparameters, emit: FitRequest['emit']) {
  const groups = learningRateGroups(description, [...parameters.values()].filter(({ trainable }) => trainable), settings);
  if (groups.problem !== undefined) emit({ type: 'run/warned', code: 'PEFT_LAYER_IDS', message: `layer-wise learning rates are off: ${groups.problem}.` });
  return groups;
}

/** A resumed run must see the same data. */
function dataFingerprints({ train, validation }: FitData, columns: readonly string[], label: string): Record<string, string> {
  const hash = (table: Table): string => {
    const made = createHash('sha256');
    for (const column of [...columns, label]) made.update(JSON.stringify([column, table.column(column)]));
    return made.digest('hex');
  };
  return { 'training data': hash(train), 'validation data': hash(validation) };
}

function abortedError({ predictor: { path }, options: { signal } }: FitRequest, step: number): PeftError {
  return new PeftError('PEFT_RUN_ABORTED', `predictor: the run was stopped after step ${step}.`, { hint: path === undefined ? 'with a path its checkpoint would be kept to go on from' : 'go on with fit(…, { resume: true })', cause: signal?.reason });
}

function summaryOf(result: TrainResult, score: number, { metric, train, validation }: FitData, model: Model, method: string, trainingSeconds: number): FitSummary {
  const { trainable, total } = model.parameterCounts();
  return Object.freeze({
    metric: metric.name, validationScore: score, trainingSeconds, steps: result.step, reason: result.reason as FitSummary['reason'], averagedSteps: result.selected.steps, trainingRows: train.rows, validationRows: validation.rows,
    peakMemoryBytes: result.peakMemoryBytes, method, trainableParameters: trainable, totalParameters: total,
  });
}
