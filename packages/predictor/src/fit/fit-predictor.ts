/** One fit: from data and settings to a trained model. */
import type { Adapter, HeadOptions, MethodSpec, Model, ModelDescription } from '@peft/core';
import { chatTemplateSource } from '@peft/data';
import { PeftError } from '@peft/errors';
import { CLOCK, createBatchOrder, TRAINER, type TrainingData } from '@peft/trainer';
import { rowWarning } from '../data/row-report.js';
import { startEngine } from '../engine/start-engine.js';
import { namedMethod } from '../methods/named-method.js';
import { describeBase, loadBaseModel, openBaseModel, type BaseModel } from '../model/base-model.js';
import { ADAPTER, disposeState, type PredictorState } from '../model/predictor-state.js';
import { grownFor, newRows } from '../model/grown-base.js';
import { vocabularyOptions } from '../model/vocabulary.js';
import { ARCHITECTURES, MODEL_RESOLVER } from '../predictor-module.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { PredictorData } from '../settings/predictor-types.js';
import { learningRateGroups } from '../settings/learning-rate-groups.js';
import type { DataTools, TaskTools } from '../tasks/predictor-task.js';
import { dataFingerprints, prepareData, type FitData } from './fit-data.js';
import { planFit, quantizationOf, type FitMemory } from './fit-memory.js';
import type { FitRequest } from './fit-request.js';
import { fitSettings } from './fit-settings.js';
import { summaryOf } from './fit-summary.js';
import {
  optimizerOf,
  requireStatePlace,
  runSizes,
  scheduleOf,
  stateStoreOf,
  trainOptionsOf,
} from './run-plan.js';
import { adapterPlaces, startAdapter, virtualTokensIn } from './start-adapter.js';
import { trainNewRows } from './train-new-rows.js';
import { trainedSpec, virtualTokensOf } from './trained-spec.js';

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
  const given = await prepareData(request, settings);
  options.signal?.throwIfAborted();
  if (previous)
    return trainOn(
      request,
      { settings },
      given,
      await examplesOf(request, settings, given, previous.base),
      previous,
    );
  const opened = await openBase(request, settings);
  const data = { ...given, task: given.task.forBase?.(opened, settings) ?? given.task };
  const engine = await startEngine(request.app, settings, request.emit);
  let model: Model | undefined;
  try {
    const method = options.method ?? namedMethod(request.app, settings, data.task.name);
    const isFresh = options.adapter === undefined;
    const room = {
      ...opened,
      virtualTokens: virtualTokens(request, method, describeBase(opened, data.task.head(settings))),
    };
    const examples = await examplesOf(request, settings, data, room);
    const base = await grownFor(
      room,
      async () => [
        examples.data,
        await data.task.examples(data.validation, {
          base: room,
          settings,
          signal: options.signal,
        }),
      ],
      settings['model.hf_text.pad_vocabulary_to_multiple_of'],
      request.emit,
    );
    const spec = isFresh ? freshSpec(method, base, data.task.head(settings), request.emit) : method;
    const memory = await planFit({
      app: request.app,
      settings,
      base,
      engine,
      task: data.task,
      // what a file holds is known once it is on the model
      spec: isFresh && options.baseAdapter === undefined ? spec : undefined,
      data: examples.data,
      emit: request.emit,
    });
    model = loadBaseModel(base, engine, {
      head: data.task.head(settings),
      seed: settings['env.seed'],
      quantization: quantizationOf(memory.settings),
      emit: request.emit,
    });
    const attached = await startAdapter(
      model,
      {
        spec,
        folder: options.adapter,
        beneath: options.baseAdapter,
        seed: settings['env.seed'],
      },
      request.app,
      request.emit,
    );
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

/** Positions that adapters take in front of every text. */
const virtualTokens = (
  { options: { adapter, baseAdapter } }: FitRequest,
  given: MethodSpec,
  description: ModelDescription,
): number =>
  (adapter === undefined ? virtualTokensOf(given, description) : virtualTokensIn(adapter)) +
  (baseAdapter === undefined ? 0 : virtualTokensIn(baseAdapter));

/** What of a method trains on the model, the rows of new tokens among it. */
function freshSpec(
  given: MethodSpec,
  base: BaseModel,
  head: HeadOptions,
  emit: FitRequest['emit'],
): MethodSpec {
  const description = describeBase(base, head);
  const { spec, whole } = trainNewRows(
    trainedSpec(given, description, emit),
    description,
    newRows(base),
  );
  if (whole.length)
    emit({
      type: 'run/warned',
      code: 'PEFT_TABLE_TRAINS_WHOLE',
      message:
        `${spec.name} trains no single rows of a table: for the new tokens ${whole.join(' and ')} ` +
        `${whole.length > 1 ? 'train and are' : 'trains and is'} saved whole.`,
      hint: 'lora trains the rows of new tokens alone',
    });
  return spec;
}

/** A table knows its columns: later files of the same kind need no header. */
const tableColumns = (data: PredictorData): readonly string[] | undefined =>
  typeof data === 'object' && 'columns' in data ? data.columns : undefined;

async function openBase(
  { app, options, emit }: FitRequest,
  settings: Hyperparameters,
): Promise<BaseModel> {
  const adapter = options.adapter ?? options.baseAdapter;
  const template = settings['data.chat_template'];
  const chatTemplate = template === null ? undefined : chatTemplateSource(template);
  const base = await openBaseModel(settings['model.hf_text.checkpoint_name'], {
    resolver: app.get(MODEL_RESOLVER),
    architectures: app.get(ARCHITECTURES),
    revision: settings['model.hf_text.revision'] ?? undefined,
    vocabulary: {
      ...vocabularyOptions(settings),
      ...(adapter === undefined ? {} : adapterPlaces(adapter)),
    },
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
  readonly data: TrainingData;
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
  const hashes = dataFingerprints(fitData);
  request.describe?.({
    settings: { task: task.name, metric: metric.name, ...settings },
    data: {
      training: { rows, sha256: hashes['training data'] },
      validation: { rows: validation.rows - told.skipped(), sha256: hashes['validation data'] },
    },
    base: { reference: base.reference, revision: base.revision, fingerprint: base.fingerprint },
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
