/** A micro-batch's share of a step's loss. */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import type { ModelBatch, Stage } from '@peft/core';
import type { RunContext } from '../run/run-context.js';
import { forwardTask } from '../tasks/task.js';
import { chooseCheckpointing } from './checkpointing-choice.js';
import type { Measures } from './step-metrics.js';

/** What the micro-batches of a step share. */
export interface WholeStep<B extends ModelBatch> {
  readonly batches: readonly B[];
  /** How much the step's loss sums over. */
  readonly count: number;
  /** Gets what the task measures. */
  readonly told: Promise<Measures>[];
}

/**
 * Σ loss / count + extra losses / M, with dropout of the step and micro-batch.
 * @param part of the model, where it does not run as a whole: the state that it begins with, and the
 *   blocks that run
 */
export function scaledLoss<B extends ModelBatch>(
  run: RunContext<B>,
  { batches, count, told }: WholeStep<B>,
  microBatch: number,
  part: { readonly input?: Tensor2D | undefined; readonly window?: Stage } = {},
): Scalar {
  const { model, options, request, state } = run;
  const batch = batches[microBatch]!;
  const output = forwardTask(request.task, model, batch, {
    training: options.dropout,
    embeddingNoise: options.embeddingNoise,
    randomParts: [options.seed, state.step, microBatch],
    checkpointing: chooseCheckpointing(
      options.gradientCheckpointing,
      model.description,
      batch.inputIds.length,
    ),
    ...(state.lastBlock === undefined && { headRowsOnly: false }), // a task may ask for it
    window: part.window,
    stageInput: part.input,
  });
  const extras = model.activeAdapters.flatMap((name) =>
    model.adapter(name).extraLosses.map((term) => tf.div(tf.reshape(term(), []), batches.length)),
  );
  return extras.reduce(
    (sum, extra) => tf.add(sum, extra),
    tf.div(
      request.task.loss(output, batch, (measures) => {
        const reading = Promise.resolve(measures);
        reading.catch(() => undefined); // it is waited for at the end of the step
        told.push(reading);
      }),
      count,
    ),
  ) as Scalar;
}
