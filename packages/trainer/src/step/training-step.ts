/**
 * One optimiser step: the gradients of its micro-batches, clipping, the update, the methods' hooks.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ModelBatch } from '@peft/core';
import type { PlannedBatch } from '@peft/data';
import { clipByGlobalNorm, globalNorm, nonFiniteGradients } from '@peft/optim';
import { chooseCheckpointing } from './checkpointing-choice.js';
import type { RunContext } from '../run/run-context.js';
import { runHooks } from './step-hooks.js';
import { forwardTask } from '../tasks/task.js';

/** Rows and tokens of a step. */
export interface StepSize {
  readonly examples: number;
  readonly tokens: number;
}

/** What became of a step. */
export type StepOutcome =
  | ({
      readonly kind: 'updated';
      /** Mean over what the task counts, extra losses added. */ readonly loss: number;
      readonly gradientNorm: number;
    } & StepSize)
  /** Nothing was changed. */
  | ({
      readonly kind: 'left-out';
      readonly cause: 'no-labels' | 'not-finite';
      readonly what: string;
    } & StepSize)
  | { readonly kind: 'aborted' };

/**
 * Does the step after `state.step` steps on these rows, micro-batch by micro-batch. Yields to the
 * event loop after each micro-batch.
 */
export async function runStep<B extends ModelBatch>(
  run: RunContext<B>,
  parts: PlannedBatch,
): Promise<StepOutcome> {
  const { request, accumulator, state } = run;
  const batches: B[] = [];
  for (const rows of parts) batches.push(await request.data.pack(rows));
  const size = {
    examples: parts.reduce((sum, { length }) => sum + length, 0),
    tokens: batches.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
  };
  const count = batches.reduce((sum, batch) => sum + request.task.count(batch), 0);
  if (count === 0)
    return {
      kind: 'left-out',
      cause: 'no-labels',
      what: 'no example of the batch has a label',
      ...size,
    };
  await run.optimizerState.store.prefetch();
  accumulator.reset();
  let loss = 0;
  for (const [m, batch] of batches.entries()) {
    if (request.signal?.aborted) return { kind: 'aborted' };
    loss += accumulator.add(() => scaledLoss(run, batch, count, m, batches.length));
    run.memory.sample();
    await nextTurn();
  }
  if (!Number.isFinite(loss))
    return { kind: 'left-out', cause: 'not-finite', what: `the loss is ${loss}`, ...size };
  const { norm, gradientScale } = clip(run);
  if (!Number.isFinite(norm))
    return {
      kind: 'left-out',
      cause: 'not-finite',
      what: `the gradient of ${nonFiniteGradients(accumulator.gradients).slice(0, 3).join(', ')} is not finite`,
      ...size,
    };
  request.optimizer.update(run.trainables, accumulator.gradients, run.optimizerState, {
    learningRate: request.schedule(state.step),
    gradientScale,
  });
  runHooks(run, gradientScale);
  return { kind: 'updated', loss, gradientNorm: norm, ...size };
}

/** Σ loss / count + extra losses / M, the micro-batch's share of the step's loss. */
function scaledLoss<B extends ModelBatch>(
  run: RunContext<B>,
  batch: B,
  count: number,
  microBatch: number,
  microBatches: number,
): Scalar {
  const { model, options, request, state } = run;
  const output = forwardTask(request.task, model, batch, {
    training: options.dropout,
    embeddingNoise: options.embeddingNoise,
    randomParts: [options.seed, state.step, microBatch],
    checkpointing: chooseCheckpointing(
      options.gradientCheckpointing,
      model.description,
      batch.inputIds.length,
    ),
  });
  const extras = model.activeAdapters.flatMap((name) =>
    model.adapter(name).extraLosses.map((term) => tf.div(tf.reshape(term(), []), microBatches)),
  );
  return extras.reduce(
    (sum, extra) => tf.add(sum, extra),
    tf.div(request.task.loss(output, batch), count),
  ) as Scalar;
}

function clip({ options, accumulator }: RunContext): { norm: number; gradientScale: number } {
  if (options.maxGradientNorm === null)
    return { norm: globalNorm(accumulator.gradients), gradientScale: 1 };
  return clipByGlobalNorm(accumulator.gradients, options.maxGradientNorm);
}
