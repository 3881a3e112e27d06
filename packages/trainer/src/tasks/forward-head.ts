/** A pass of which the head's result alone is read. */
import type { Model, ModelBatch, ModelOutput, RunOptions } from '@peft/core';

/**
 * As `Task.forward`: rows that the head does not read are left out where that can be, unless the
 * options say otherwise.
 */
export const forwardHead = (model: Model, batch: ModelBatch, options: RunOptions): ModelOutput =>
  model.forward(batch, { headRowsOnly: true, ...options });
