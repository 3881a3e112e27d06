/**
 * The seam between the loop and what a model is trained for: a loss that is a sum with a count, and
 * predictions.
 */
import type { Scalar } from '@tensorflow/tfjs';
import type { Model, ModelBatch, ModelOutput, RunOptions } from '@peft/core';

/**
 * What a model is trained for. `B` is the packed batch with whatever labels the task reads, `P` the
 * prediction of one example.
 *
 * The loss is a sum over the things that count (examples, or labelled tokens), so that any split of
 * a batch into micro-batches gives the same mean and the same gradient: the loop divides by the
 * count of the whole batch.
 */
export interface Task<B extends ModelBatch = ModelBatch, P = unknown> {
  /** For instance `classification`. */
  readonly name: string;
  /** Options that change the loss; a resumed run must have the same. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** How many things the loss of this batch sums over. Known before the model runs. */
  count(batch: B): number;
  /** Σ loss, a float32 scalar of the enclosing tidy scope. */
  loss(output: ModelOutput, batch: B): Scalar;
  /** One prediction per example of the batch, in its order. Runs outside the tape. */
  predict(output: ModelOutput, batch: B): readonly P[];
  /** Runs the model; default `model.forward(batch, options)`. */
  forward?(model: Model, batch: B, options: RunOptions): ModelOutput;
}

/**
 * Runs the model as the task wants it. Tensors of the result belong to the enclosing tidy scope.
 */
export function forwardTask<B extends ModelBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
  options: RunOptions,
): ModelOutput {
  return task.forward ? task.forward(model, batch, options) : model.forward(batch, options);
}
