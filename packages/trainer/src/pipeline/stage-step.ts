/** A step's micro-batches on a stage: its blocks' part of each gradient. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { runStage, type ModelBatch, type Stage, type StageResult } from '@peft/core';
import { recordGradients, type RecordedValue } from '@peft/ops';
import type { StepReport } from '../ranks/exchange-gradients.js';
import type { RunContext } from '../run/run-context.js';
import { scaledLoss, type WholeStep } from '../step/scaled-loss.js';
import { joinsAfter, type SumNode } from '../step/sum-tree.js';
import { oneForwardOneBackward, type StageWork } from './one-forward-one-backward.js';
import { rankPlace, requireRanks } from './place.js';
import { stageLink, type StageLink } from './stage-link.js';

/** A micro-batch between its forward and its backward pass. */
interface Pending {
  readonly input: Tensor2D | undefined;
  readonly recorded: RecordedValue<Tensor>;
}

/**
 * Puts the sum over this stage's part of the micro-batches, if its group has any, into the run's
 * accumulator. The last stage knows the losses. All stages do the whole step, also when one is asked
 * to stop: the others wait for it.
 */
export async function addStageMicroBatches<B extends ModelBatch>(
  run: RunContext<B>,
  stage: Stage,
  whole: WholeStep<B>,
  node: SumNode | undefined,
): Promise<StepReport> {
  const { accumulator, stop } = run;
  const losses = new Float64Array(whole.batches.length);
  accumulator.reset();
  if (node) await workThrough(run, stage, whole, { node, losses });
  return { losses, told: await Promise.all(whole.told), isAborted: stop.signal?.aborted === true };
}

async function workThrough<B extends ModelBatch>(
  run: RunContext<B>,
  stage: Stage,
  whole: WholeStep<B>,
  { node, losses }: { readonly node: SumNode; readonly losses: Float64Array },
): Promise<void> {
  const link = stageLink(stage);
  const { stage: own, stages } = rankPlace(requireRanks(stage.ranks));
  const work = oneForwardOneBackward(own, stages, node.end - node.start);
  const joins = joinsAfter(node);
  const pending = new Map<number, Pending>();
  const arrive = (next: StageWork | undefined): Promise<Tensor2D | undefined> => {
    if (!next) return Promise.resolve(undefined);
    const batch = whole.batches[node.start + next.microBatch]!;
    const arriving =
      next.pass === 'forward' ? link.receiveState(batch) : link.receiveGradient(batch);
    arriving.catch(() => undefined); // it is awaited after the pass that is under way
    return arriving;
  };
  let arriving = arrive(work[0]);
  let arrived: Tensor2D | undefined;
  try {
    for (const [i, { pass, microBatch }] of work.entries()) {
      arrived = await arriving;
      // what a gradient is like is known once a state was sent
      const isAhead = work[i + 1]?.pass === 'forward' || pending.size > 0;
      if (isAhead) arriving = arrive(work[i + 1]);
      if (pass === 'forward') {
        const made = await forward(run, link, whole, node.start + microBatch, arrived);
        pending.set(microBatch, made.pending);
        if (made.loss !== undefined) losses[node.start + microBatch] = made.loss;
      } else {
        await backward(run, link, pending.get(microBatch)!, arrived, joins[microBatch]!);
        pending.delete(microBatch);
      }
      if (!isAhead) arriving = arrive(work[i + 1]);
      run.memory.sample();
      await nextTurn();
    }
    await link.sent();
  } catch (error) {
    arrived?.dispose();
    // nobody waits for what is still under way
    void arriving.then(
      (late) => late?.dispose(),
      () => undefined,
    );
    throw error;
  } finally {
    for (const { input, recorded } of pending.values()) {
      recorded.dispose();
      input?.dispose();
    }
  }
}

async function forward<B extends ModelBatch>(
  run: RunContext<B>,
  link: StageLink,
  whole: WholeStep<B>,
  microBatch: number,
  input: Tensor2D | undefined,
): Promise<{ readonly pending: Pending; readonly loss: number | undefined }> {
  let result: StageResult<Tensor> | undefined;
  const recorded = recordGradients<Tensor>(() => {
    result = runStage(() => scaledLoss(run, whole, microBatch, { input }));
    return result.kind === 'state' ? result.state : result.output;
  }, [...variablesOf(run), ...(input ? [input] : [])]);
  const { value } = recorded;
  try {
    let loss: number | undefined;
    if (result?.kind === 'state') link.sendState(whole.batches[microBatch]!, value as Tensor2D);
    else [loss] = await value.data<'float32'>(); // it is shown, and a NaN must be seen in time
    return { pending: { input, recorded }, loss };
  } catch (error) {
    recorded.dispose();
    throw error;
  } finally {
    value.dispose();
  }
}

/** @param gradient of what the forward pass sent; none on the last stage, or where none is needed */
async function backward(
  run: RunContext,
  link: StageLink,
  { input, recorded }: Pending,
  gradient: Tensor2D | undefined,
  joins: number,
): Promise<void> {
  const variables = variablesOf(run);
  const isNeeded = link.isLast || gradient !== undefined;
  const gradients = isNeeded ? recorded.gradients(gradient) : [];
  if (!isNeeded) recorded.dispose();
  const made = variables.flatMap(({ name }, i) => {
    const found = gradients[i];
    return found ? [[name, found] as const] : [];
  });
  try {
    await run.accumulator.addGradients(Object.fromEntries(made), joins);
    if (input) link.sendGradient(input, gradients[variables.length] as Tensor2D | undefined);
  } finally {
    tf.dispose([gradient, input, ...gradients].filter((tensor) => tensor !== undefined));
  }
}

const variablesOf = ({ trainables }: Pick<RunContext, 'trainables'>) =>
  trainables.map(({ variable }) => variable);
