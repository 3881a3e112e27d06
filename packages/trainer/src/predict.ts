/** Runs a model over examples: packed batches of like lengths, results in the examples' own order. */
import * as tf from '@tensorflow/tfjs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Model, ModelBatch } from '@peft/core';
import { check } from '@peft/errors';
import { forwardTask, type Task } from './task.js';
import { splitIntoMicroBatches, type MicroBatchLimits, type TrainingData } from './training-data.js';

export interface PredictOptions extends MicroBatchLimits {
  /** Also sum the task's loss; the examples need labels. Default false. */
  readonly withLoss?: boolean;
  /** Stops after the present batch: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told after each batch. */
  readonly onProgress?: (progress: { readonly examples: number; readonly totalExamples: number }) => void;
}

export interface Predictions<P> {
  /** One per example, in the data's order. */
  readonly predictions: readonly P[];
  /** Mean loss, with `withLoss`. */
  readonly loss?: number;
}

/** Tokens of a batch when no limit is given. */
const DEFAULT_BATCH_TOKENS = 4096;

/**
 * Predicts every example. Batches hold examples of like lengths, longest first, so that memory runs out at once or not at all;
 * since nothing is padded, the result does not depend on what shares a batch.
 */
export async function predict<B extends ModelBatch, P>(model: Model, task: Task<B, P>, data: TrainingData<B>, options: PredictOptions = {}): Promise<Predictions<P>> {
  const { microBatchSize, signal, withLoss = false } = options;
  if (microBatchSize !== undefined) check.positiveInteger('predict', 'microBatchSize', microBatchSize);
  const total = data.lengths.length;
  const maxTokensPerMicroBatch = options.maxTokensPerMicroBatch ?? (microBatchSize === undefined ? DEFAULT_BATCH_TOKENS : undefined);
  const order = Array.from({ length: total }, (_, i) => i).sort((a, b) => data.lengths[b]! - data.lengths[a]! || a - b);
  const predictions = new Array<P>(total);
  const sum = { loss: 0, count: 0, examples: 0 };
  for (const indices of splitIntoMicroBatches(order, data.lengths, { ...(microBatchSize !== undefined && { microBatchSize }), ...(maxTokensPerMicroBatch !== undefined && { maxTokensPerMicroBatch }) })) {
    signal?.throwIfAborted();
    const batch = await data.pack(indices);
    tf.tidy(() => {
      const output = forwardTask(task, model, batch, {});
      task.predict(output, batch).forEach((prediction, i) => (predictions[indices[i]!] = prediction));
      if (!withLoss) return;
      sum.loss += task.loss(output, batch).dataSync()[0]!; // a number per batch, to be added in float64
      sum.count += task.count(batch);
    });
    sum.examples += indices.length;
    options.onProgress?.({ examples: sum.examples, totalExamples: total });
    await nextTurn();
  }
  signal?.throwIfAborted();
  return { predictions, ...(withLoss && { loss: sum.loss / sum.count }) };
}
