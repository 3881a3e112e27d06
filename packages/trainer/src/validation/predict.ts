/** Runs a model over rows: packed batches of like lengths, results in the rows' own order. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Model, ModelBatch, RunOptions, ShardedBlocks, Stage } from '@peft/core';
import { createEvaluationPlan } from '@peft/data';
import { readInScope, readValues } from '@peft/ops';
import { rankPlace, requireRanks } from '../pipeline/place.js';
import { stageLink } from '../pipeline/stage-link.js';
import { throughStages } from '../pipeline/through-stages.js';
import { gatherValues } from '../ranks/rank-messages.js';
import { requireSharedTask, sharedModel } from '../ranks/require-shared-task.js';
import { throughBlocks } from '../shards/through-blocks.js';
import { forwardTask, prepareTask, type Task } from '../tasks/task.js';
import type { TrainingData } from './training-data.js';

/** How much is computed at once, and who is told. */
export interface PredictOptions {
  /** Rows that are computed at once. Default: as many as there are. */
  readonly batchSize?: number;
  /** Tokens that are computed at once. Default 4096 without `batchSize`, else no limit. */
  readonly maxTokensPerBatch?: number;
  /** Also sum the task's loss; the rows need labels. Default false. */
  readonly withLoss?: boolean;
  /** Stops after the present batch: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told after each batch. */
  readonly onProgress?: (progress: {
    readonly examples: number;
    readonly totalExamples: number;
  }) => void;
}

/** What {@link predict} gives. */
export interface Predictions<P> {
  /** One per row, in the data's order. */
  readonly predictions: readonly P[];
  /** Mean loss, with `withLoss`. */
  readonly loss?: number;
}

const DEFAULT_BATCH_TOKENS = 4096;

/**
 * Predicts every row. Batches hold rows of like lengths, longest first, so that memory runs out at
 * once or not at all; since nothing is padded, the result does not depend on what shares a batch.
 * The ranks that hold a model together call it alike and get the same.
 * @throws PEFT_CONFIG_INVALID for limits that are not positive integers; PEFT_STAGE_UNSUPPORTED,
 *   PEFT_SHARDS_UNSUPPORTED
 */
export async function predict<B extends ModelBatch, P>(
  model: Model,
  task: Task<B, P>,
  data: TrainingData<B>,
  options: PredictOptions = {},
): Promise<Predictions<P>> {
  const { batchSize, withLoss = false } = options;
  const totalExamples = data.lengths.length;
  const maxTokensPerBatch =
    options.maxTokensPerBatch ?? (batchSize === undefined ? DEFAULT_BATCH_TOKENS : undefined);
  const plan = createEvaluationPlan({
    lengths: data.lengths,
    batchSize: batchSize ?? Math.max(1, totalExamples),
    maxTokensPerBatch,
  });
  // begins all readings before it returns: the scope around it ends there
  const read = (batch: B, run: RunOptions): Promise<BatchResult<P>> => {
    const output = forwardTask(task, model, batch, run);
    const predicted = task.predict(output, batch);
    // a number per batch, to be added in float64
    const loss = withLoss ? readValues(task.loss(output, batch)) : undefined;
    return Promise.all([predicted, loss]).then(([predictions, values]) => ({
      predictions,
      loss: values?.[0] ?? 0,
      count: values ? task.count(batch) : 0,
    }));
  };
  requireSharedTask(sharedModel(model), task);
  const results = await resultsOf(model, task, data, plan, read, options);
  const predictions = new Array<P>(totalExamples);
  const sum = { loss: 0, count: 0 };
  for (const [b, result] of results.entries()) {
    result.predictions.forEach((prediction, i) => (predictions[plan[b]![i]!] = prediction));
    sum.loss += result.loss;
    sum.count += result.count;
  }
  return { predictions, loss: withLoss ? sum.loss / sum.count : undefined };
}

/** What a batch came to. */
interface BatchResult<P> {
  readonly predictions: readonly P[];
  readonly loss: number;
  readonly count: number;
}

type ReadBatch<B, P> = (batch: B, run: RunOptions) => Promise<BatchResult<P>>;

function resultsOf<B extends ModelBatch, P>(
  model: Model,
  task: Task<B, P>,
  data: TrainingData<B>,
  plan: readonly Int32Array[],
  read: ReadBatch<B, P>,
  options: PredictOptions,
): Promise<BatchResult<P>[]> {
  const { stage, weights } = model;
  if (stage) return resultsOfStages(stage, data, plan, read, options);
  if (weights.shards) return resultsOfShards(weights.shards, data, plan, read, options);
  return resultsHere(model, task, data, plan, read, options);
}

async function resultsHere<B extends ModelBatch, P>(
  model: Model,
  task: Task<B, P>,
  data: TrainingData<B>,
  plan: readonly Int32Array[],
  read: ReadBatch<B, P>,
  { signal, onProgress }: PredictOptions,
): Promise<BatchResult<P>[]> {
  const prepared = task.prepare && (await preparedBatches(model, task, data, plan));
  const results: BatchResult<P>[] = [];
  let examples = 0;
  for (const [b, rows] of plan.entries()) {
    signal?.throwIfAborted();
    const batch = prepared?.[b] ?? (await data.pack(rows));
    results.push(await readInScope(() => read(batch, {})));
    examples += rows.length;
    onProgress?.({ examples, totalExamples: data.lengths.length });
    await nextTurn();
  }
  signal?.throwIfAborted();
  return results;
}

/**
 * All ranks that hold a model together call this alike; the last stage tells the others. A signal
 * counts at the end, since the others would wait for ever for one that leaves.
 */
async function resultsOfStages<B extends ModelBatch, P>(
  stage: Stage,
  data: TrainingData<B>,
  plan: readonly Int32Array[],
  read: ReadBatch<B, P>,
  { signal, onProgress }: PredictOptions,
): Promise<BatchResult<P>[]> {
  const link = stageLink(stage);
  const own: BatchResult<P>[] = [];
  let examples = 0;
  for (const rows of plan) {
    const batch = await data.pack(rows);
    const result = await throughStages(link, batch, (run) => read(batch, run));
    if (result) own.push(result);
    examples += rows.length;
    onProgress?.({ examples, totalExamples: data.lengths.length });
    await link.sent();
    await nextTurn();
  }
  const ranks = requireRanks(stage.ranks);
  const { replica, stages } = rankPlace(ranks);
  const all = await gatherValues(ranks.collective, own);
  signal?.throwIfAborted();
  return all[replica * stages + stages - 1]!;
}

/**
 * Each rank runs every N-th batch on blocks that all of them share, and tells the others. A signal
 * counts at the end.
 */
async function resultsOfShards<B extends ModelBatch, P>(
  shards: ShardedBlocks,
  data: TrainingData<B>,
  plan: readonly Int32Array[],
  read: ReadBatch<B, P>,
  { signal, onProgress }: PredictOptions,
): Promise<BatchResult<P>[]> {
  const { rank, size } = shards.collective;
  const own: BatchResult<P>[] = [];
  let examples = 0;
  for (let first = 0; first < plan.length; first += size) {
    const rows = plan[first + rank];
    const batch = rows && (await data.pack(rows));
    const result = await throughBlocks(shards, batch, read);
    if (result) own.push(result);
    for (const part of plan.slice(first, first + size)) examples += part.length;
    onProgress?.({ examples, totalExamples: data.lengths.length });
    await nextTurn();
  }
  const all = await gatherValues(shards.collective, own);
  signal?.throwIfAborted();
  return plan.map((_, b) => all[b % size]![Math.floor(b / size)]!);
}

/** All batches at once, where what a task prepares depends on all of them. */
async function preparedBatches<B extends ModelBatch, P>(
  model: Model,
  task: Task<B, P>,
  data: TrainingData<B>,
  plan: readonly Int32Array[],
): Promise<readonly B[]> {
  const batches: B[] = [];
  for (const rows of plan) batches.push(await data.pack(rows));
  return prepareTask(task, model, batches);
}
