/**
 * One optimiser step: the gradients of its micro-batches, which several ranks share, clipping, the
 * update, the methods' hooks.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ModelBatch } from '@peft/core';
import type { PlannedBatch } from '@peft/data';
import { clipToNorm, globalNorm, nonFiniteGradients } from '@peft/optim';
import { addStageMicroBatches } from '../pipeline/stage-step.js';
import { placeOf } from '../pipeline/place.js';
import type { RunContext } from '../run/run-context.js';
import type { StepReport } from '../ranks/exchange-gradients.js';
import { dealSum, sharesOf, type RankShare } from '../ranks/rank-shares.js';
import { shareWork } from '../ranks/share-work.js';
import { noGradientError, type HandOn, type StepMeasure } from './gradient-accumulator.js';
import { scaledLoss, type WholeStep } from './scaled-loss.js';
import { runHooks } from './step-hooks.js';
import { meansOf } from './step-metrics.js';
import { addShardedMicroBatches } from '../shards/sharded-step.js';
import { joinsAfter, sumTree, type SumNode } from './sum-tree.js';
import { prepareTask } from '../tasks/task.js';

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
      /** What the task measured, means over all micro-batches. */
      readonly metrics: Readonly<Record<string, number>> | undefined;
    } & StepSize)
  /** Nothing was changed. */
  | ({
      readonly kind: 'left-out';
      readonly cause: 'no-labels' | 'not-finite';
      readonly what: string;
    } & StepSize)
  | { readonly kind: 'aborted' };

/**
 * Does the step after `state.step` steps on these rows, micro-batch by micro-batch, those of
 * this rank. Yields to the event loop after each micro-batch.
 */
export async function runStep<B extends ModelBatch>(
  run: RunContext<B>,
  parts: PlannedBatch,
): Promise<StepOutcome> {
  const { request, state } = run;
  const packed: B[] = [];
  for (const rows of parts) packed.push(await request.data.pack(rows));
  const batches = await prepared(run, packed);
  if (!batches) return { kind: 'aborted' };
  const tree = sumTree(
    batches.map(({ inputIds }) => inputIds.length),
    state.gradientSum ?? 'sequential',
  );
  const size = {
    examples: parts.reduce((sum, { length }) => sum + length, 0),
    tokens: tree.tokens,
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
  const { collective, exchange } = run;
  const { replica, replicas } = placeOf(run.model, collective);
  const shares = dealSum(tree, replicas);
  const own = sharesOf(shares).find(({ firstRank }) => firstRank === replica)?.node;
  const whole: WholeStep<B> = { batches, count, told: [] };
  exchange?.begin(shares);
  const { report, measure } = await addOwn(run, whole, shares, own);
  const { losses, told, isAborted, gradients } = exchange
    ? await exchange.end(report, run.accumulator.sum)
    : { ...report, gradients: run.accumulator.sum };
  if (isAborted) {
    run.stop.agree();
    return { kind: 'aborted' };
  }
  const loss = losses.reduce((sum, part) => sum + part, 0);
  if (!Number.isFinite(loss))
    return { kind: 'left-out', cause: 'not-finite', what: `the loss is ${loss}`, ...size };
  if (Object.keys(gradients).length === 0) throw noGradientError();
  const norm = await (exchange || !measure ? globalNorm(gradients) : measure.norm());
  const { maxGradientNorm } = run.options;
  const gradientScale =
    maxGradientNorm === null ? 1 : clipToNorm(norm, maxGradientNorm).gradientScale;
  if (!Number.isFinite(norm)) {
    const names = (await nonFiniteGradients(gradients)).slice(0, 3);
    return {
      kind: 'left-out',
      cause: 'not-finite',
      what: `the gradient${names.length > 0 ? ` of ${names.join(', ')}` : ''} is not finite`,
      ...size,
    };
  }
  await request.optimizer.update(run.trainables, gradients, run.optimizerState, {
    learningRate: request.schedule(state.step),
    gradientScale,
  });
  await runHooks(run, gradients, gradientScale);
  return { kind: 'updated', loss, gradientNorm: norm, metrics: meansOf(told), ...size };
}

/** @returns undefined when the run is to stop. */
async function prepared<B extends ModelBatch>(
  { request, model, options, state, collective, stop, emit }: RunContext<B>,
  packed: readonly B[],
): Promise<readonly B[] | undefined> {
  try {
    return await prepareTask(request.task, model, packed, {
      seed: options.seed,
      step: state.step,
      signal: stop.signal,
      rank: collective.rank,
      warn: (warning) => emit({ type: 'run/warned', ...warning }),
      share: shareWork(collective, stop),
    });
  } catch (error) {
    if (request.signal?.aborted) return undefined;
    throw error;
  }
}

/** A rank's losses at the places of its micro-batches. */
function placed(losses: readonly number[], start: number, count: number): Float64Array {
  const all = new Float64Array(count);
  all.set(losses, start);
  return all;
}

/** Puts the sum over this rank's micro-batches, if it has any, into the run's accumulator. */
async function addOwn<B extends ModelBatch>(
  run: RunContext<B>,
  whole: WholeStep<B>,
  shares: RankShare,
  node: SumNode | undefined,
): Promise<{ readonly report: StepReport; readonly measure: StepMeasure | undefined }> {
  const { stage, weights } = run.model;
  if (stage)
    return { report: await addStageMicroBatches(run, stage, whole, node), measure: undefined };
  if (!weights.shards) return addMicroBatches(run, whole, node);
  const report = await addShardedMicroBatches(run, weights.shards, whole, { shares, node });
  return { report, measure: undefined };
}

/** The same on a model that lies here. */
async function addMicroBatches<B extends ModelBatch>(
  run: RunContext<B>,
  whole: WholeStep<B>,
  node: SumNode | undefined,
): Promise<{ readonly report: StepReport; readonly measure: StepMeasure }> {
  const { accumulator } = run;
  accumulator.reset();
  const isStopped = await addEach(run, whole, node);
  const measure = await accumulator.measure();
  const report: StepReport = {
    losses: placed(measure.losses, node?.start ?? 0, whole.batches.length),
    told: await Promise.all(whole.told),
    isAborted: isStopped,
  };
  return { report, measure };
}

/** @returns whether the run is to stop */
async function addEach<B extends ModelBatch>(
  run: RunContext<B>,
  whole: WholeStep<B>,
  node: SumNode | undefined,
): Promise<boolean> {
  if (!node) return run.stop.signal?.aborted === true;
  for (const [i, joins] of joinsAfter(node).entries()) {
    if (run.stop.signal?.aborted) return true;
    const isLast = node.start + i === node.end - 1;
    await run.accumulator.add(
      () => scaledLoss(run, whole, node.start + i),
      joins,
      isLast ? handOnOf(run) : undefined,
    );
    run.memory.sample();
    await nextTurn();
  }
  return false;
}

/** To the other ranks, while the backward pass goes on. */
function handOnOf({ exchange }: Pick<RunContext, 'exchange'>): HandOn | undefined {
  if (!exchange) return undefined;
  return async (key, sum) => {
    // what has arrived meanwhile is added, and sent on, in a turn of its own
    if (exchange.put(key, sum)) await nextTurn();
  };
}
