/** The seam between the loop and a validation. */
import type { Model, ModelBatch } from '@peft/core';
import { predict, type PredictOptions } from './predict.js';
import type { Task } from '../tasks/task.js';
import type { TrainingData } from './training-data.js';

/** What scoring the model gave. */
export interface Evaluation {
  /** By name; the watched one must be among them. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
}

/** Scores the model as it is now. Rejects when the signal is aborted. */
export type Evaluate = (signal: AbortSignal | undefined) => Promise<Evaluation>;

/** What {@link createEvaluator} scores, and how much of it at once. */
export interface EvaluatorOptions<B extends ModelBatch, P> extends Omit<
  PredictOptions,
  'signal' | 'withLoss'
> {
  readonly model: Model;
  readonly task: Task<B, P>;
  /** Examples with labels. */
  readonly data: TrainingData<B>;
  /** Metrics of the predictions, which are in the data's order. */
  readonly score: (predictions: readonly P[]) => Readonly<Record<string, number>>;
}

/** An `evaluate` for the loop: predicts all of `data` and scores it; `loss` is the mean loss. */
export function createEvaluator<B extends ModelBatch, P>({
  model,
  task,
  data,
  score,
  ...options
}: EvaluatorOptions<B, P>): Evaluate {
  return async (signal) => {
    const { predictions, loss } = await predict(model, task, data, {
      ...options,
      withLoss: true,
      signal,
    });
    return { metrics: { loss: loss!, ...score(predictions) }, examples: predictions.length };
  };
}
