/** What a first fit makes of data and settings before weights are read. */
import {
  requireShards,
  requireStages,
  startsFromData,
  taskCountOf,
  type App,
  type HeadOptions,
  type MethodSpec,
  type ModelDescription,
} from '@peft/core';
import { chatTemplateSource } from '@peft/data';
import { PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import {
  byRankZero,
  COLLECTIVE,
  rankPlace,
  requireSameRanks,
  requireSharedTask,
  type TrainingData,
} from '@peft/trainer';
import { rowWarning } from '../data/row-report.js';
import { checkTaskIds } from '../data/task-ids.js';
import { namedMethod } from '../methods/named-method.js';
import { describeBase, openBaseModel, type BaseModel } from '../model/base-model.js';
import { grownFor, newRows } from '../model/grown-base.js';
import { vocabularyOptions } from '../model/vocabulary.js';
import { ARCHITECTURES, MODEL_RESOLVER, PIPELINE, SHARDED_BASE } from '../predictor-module.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { DataTools } from '../tasks/predictor-task.js';
import { dataFingerprints, type FitData } from './fit-data.js';
import { planFit, type FitMemory } from './fit-memory.js';
import type { FitParts } from './fit-request.js';
import { adapterPlaces, virtualTokensIn } from './start-adapter.js';
import { trainNewRows } from './train-new-rows.js';
import { trainedSpec, virtualTokensOf } from './trained-spec.js';

/** A fit that is ready for its weights. */
export interface PreparedFit {
  /** With the task as it is on the base. */
  readonly data: FitData;
  readonly base: BaseModel;
  readonly examples: Examples;
  readonly spec: MethodSpec;
  /** Nothing is gone on from. */
  readonly isFresh: boolean;
  readonly memory: FitMemory;
}

/**
 * Tokenises the rows, settles what trains and plans the memory, which rank 0 does for all.
 * @param opened what `openBase` gave.
 */
export async function prepareFit(
  request: FitParts,
  settings: Hyperparameters,
  given: FitData,
  opened: BaseModel,
  engine: Engine,
): Promise<PreparedFit> {
  const { options } = request;
  const data = { ...given, task: given.task.forBase?.(opened, settings) ?? given.task };
  const method = options.method ?? namedMethod(request.app, settings, data.task.name);
  const isFresh = options.adapter === undefined;
  // what a file holds is known once it is on the model
  if (isFresh && options.baseAdapter === undefined)
    checkTaskIds(data.task, [data.train, data.validation], taskCountOf(method));
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
  requireSharedModel(request, engine, describeBase(base, data.task.head(settings)), settings, data);
  if (isFresh) requireWholeStart(request.app, spec);
  const ranks = request.app.get(COLLECTIVE);
  await requireSameRanks(ranks, { 'base model': base.fingerprint, ...dataFingerprints(data) });
  // what is left to the plan must be the same everywhere
  const memory = await byRankZero(ranks, () =>
    planFit({
      app: request.app,
      settings,
      base,
      engine,
      task: data.task,
      // what a file holds is known once it is on the model
      spec: isFresh && options.baseAdapter === undefined ? spec : undefined,
      data: examples.data,
      isElsewhere: request.isElsewhere,
      emit: request.emit,
    }),
  );
  return { data, base, examples, spec, isFresh, memory };
}

/**
 * That ranks can hold the model together as they are asked to, and the task trains it so.
 * @throws PEFT_STAGE_UNSUPPORTED, PEFT_STAGE_RANKS, PEFT_SHARDS_UNSUPPORTED
 */
function requireSharedModel(
  { app }: FitParts,
  engine: Engine,
  description: ModelDescription,
  settings: Hyperparameters,
  { task, metric }: FitData,
): void {
  const { stages } = app.get(PIPELINE);
  const isSharded = app.get(SHARDED_BASE);
  if (isSharded) requireShards(description, engine);
  if (stages > 1) {
    rankPlace({ collective: app.get(COLLECTIVE), stages });
    requireStages(description, stages);
  }
  const notCut = isSharded ? 'in shards' : undefined;
  const how = stages > 1 ? 'in stages' : notCut;
  requireSharedTask(how, task.loss(settings));
  if (how && task.writesFor?.(metric))
    throw new PeftError(
      stages > 1 ? 'PEFT_STAGE_UNSUPPORTED' : 'PEFT_SHARDS_UNSUPPORTED',
      `predictor: ${metric.name} looks at texts that the model writes, which ranks that hold it ` +
        'together do not.',
      {
        hint: 'watch perplexity, and score the saved model afterwards: peft evaluate OUTPUT TABLE',
      },
    );
}

/**
 * That a start from data sees a whole model.
 * @throws PEFT_STAGE_UNSUPPORTED, PEFT_SHARDS_UNSUPPORTED
 */
function requireWholeStart(app: App, spec: MethodSpec): void {
  const isSharded = app.get(SHARDED_BASE);
  if (!startsFromData(spec) || (!isSharded && app.get(PIPELINE).stages === 1)) return;
  throw new PeftError(
    isSharded ? 'PEFT_SHARDS_UNSUPPORTED' : 'PEFT_STAGE_UNSUPPORTED',
    `predictor: ${spec.name} starts from data, which needs the whole model, and each rank holds a part of it.`,
    { hint: `leave out ${isSharded ? '--shard-base' : '--pipeline'}, or choose another init` },
  );
}

/** The base model without its weights, downloaded where it is missing. */
export async function openBase(
  { app, options, emit }: FitParts,
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

/** Positions that adapters take in front of every text. */
const virtualTokens = (
  { options: { adapter, baseAdapter } }: FitParts,
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
  emit: FitParts['emit'],
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

/** The training rows as tokens, with how many of them there are to train on. */
export async function examplesOf(
  request: FitParts,
  settings: Hyperparameters,
  { task, train }: FitData,
  base: BaseModel,
): Promise<Examples> {
  const told = rowTools(request, 'training data');
  const { signal } = request.options;
  const data = await task.examples(train, { base, settings, signal, ...told.tools });
  return { data, rows: train.rows - told.skipped() };
}

export interface Examples {
  readonly data: TrainingData;
  /** Rows of the table that train. */
  readonly rows: number;
}

/** Emits the warning of a table's rows once, and counts those that are left out. */
export function rowTools(
  { emit }: FitParts,
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
