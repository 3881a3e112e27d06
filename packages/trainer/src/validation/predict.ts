/** Runs a model over rows: packed batches of like lengths, results in the rows' own order. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Model, ModelBatch } from '@peft/core';
import { createEvaluationPlan } from '@peft/data';
import { readInScope, readValues } from '@peft/ops';
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
 * @throws PEFT_CONFIG_INVALID for limits that are not positive integers
 */
export async function predict<B extends ModelBatch, P>(
  model: Model,
  task: Task<B, P>,
  data: TrainingData<B>,
  options: PredictOptions = {},
): Promise<Predictions<P>> {
  const { signal, batchSize, withLoss = false } = options;
  const totalExamples = data.lengths.length;
  const maxTokensPerBatch =
    options.maxTokensPerBatch ?? (batchSize === undefined ? DEFAULT_BATCH_TOKENS : undefined);
  const predictions = new Array<P>(totalExamples);
  const sum = { loss: 0, count: 0, examples: 0 };
  const plan = createEvaluationPlan({
    lengths: data.lengths,
    batchSize: batchSize ?? Math.max(1, totalExamples),
    maxTokensPerBatch,
  });
  const prepared = task.prepare && (await preparedBatches(model, task, data, plan));
  for (const [b, rows] of plan.entries()) {
    signal?.throwIfAborted();
    const batch = prepared?.[b] ?? (await data.pack(rows));
    const [made, loss] = await readInScope(() => {
      const output = forwardTask(task, model, batch, {});
      const predicted = task.predict(output, batch);
      // a number per batch, to be added in float64
      return Promise.all([predicted, withLoss ? readValues(task.loss(output, batch)) : undefined]);
    });
    made.forEach((prediction, i) => (predictions[rows[i]!] = prediction));
    if (loss) {
      sum.loss += loss[0]!;
      sum.count += task.count(batch);
    }
    sum.examples += rows.length;
    options.onProgress?.({ examples: sum.examples, totalExamples });
    await nextTurn();
  }
  signal?.throwIfAborted();
  return { predictions, loss: withLoss ? sum.loss / sum.count : undefined };
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
