/** The training to come as a method sees it whose start comes from data. */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  startedSpec,
  startsFromData,
  type MethodSpec,
  type Model,
  type StartData,
} from '@peft/core';
import { forwardTask, prepareTask } from '@peft/trainer';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitData } from './fit-data.js';
import type { Examples } from './prepare-fit.js';
import { batchOrderOf } from './run-plan.js';

/**
 * The spec as it attaches: with the start that the first micro-batches of the run's own order choose,
 * where its method asks for them.
 */
export async function specFromData(
  model: Model,
  spec: MethodSpec,
  { task }: FitData,
  { data }: Examples,
  settings: Hyperparameters,
): Promise<MethodSpec> {
  if (!startsFromData(spec)) return spec;
  const loss = task.loss(settings);
  const order = batchOrderOf(data.lengths, settings);
  const source: StartData = {
    async *batches(count) {
      const parts = order.batches(0).flat();
      for (const rows of parts.slice(0, count))
        yield* await prepareTask(loss, model, [await data.pack(rows)]);
    },
    loss: (batch) =>
      tf.div<Scalar>(
        loss.loss(forwardTask(loss, model, batch, {}), batch),
        Math.max(1, loss.count(batch)),
      ),
  };
  return startedSpec(model, spec, source);
}
