/**
 * A step's micro-batches on a model whose ranks share its blocks: each rank runs its own
 * micro-batches, block by block, forward and back, while the next block's bytes arrive.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { runStage, type ModelBatch, type ShardedBlocks } from '@peft/core';
import { recordGradients, type RecordedValue } from '@peft/ops';
import type { StepReport } from '../ranks/exchange-gradients.js';
import { sharesOf, type RankShare } from '../ranks/rank-shares.js';
import type { RunContext } from '../run/run-context.js';
import { scaledLoss, type WholeStep } from '../step/scaled-loss.js';
import { joinsAfter, type SumNode } from '../step/sum-tree.js';

/** A block between its forward and its backward pass. */
interface Pending {
  readonly input: Tensor2D | undefined;
  readonly recorded: RecordedValue<Tensor>;
}

/**
 * Puts the sum over this rank's micro-batches, if it has any, into the run's accumulator. A rank with
 * fewer than the others hands on its part of the blocks until they are done, and one that is asked to
 * stop finishes the step.
 * @param shares of all ranks
 */
export async function addShardedMicroBatches<B extends ModelBatch>(
  run: RunContext<B>,
  shards: ShardedBlocks,
  whole: WholeStep<B>,
  { shares, node }: { readonly shares: RankShare; readonly node: SumNode | undefined },
): Promise<StepReport> {
  const { accumulator, stop } = run;
  const losses = new Float64Array(whole.batches.length);
  accumulator.reset();
  const rounds = Math.max(...sharesOf(shares).map(({ node: { start, end } }) => end - start));
  const joins = node ? joinsAfter(node) : [];
  for (let round = 0; round < rounds; round += 1) {
    const joined = joins[round];
    if (joined === undefined) await shards.inOrder(thereAndBack(shards.blocks), () => undefined);
    else {
      const microBatch = node!.start + round;
      losses[microBatch] = await addOne(run, shards, whole, microBatch, joined);
    }
    run.memory.sample();
    await nextTurn();
  }
  return { losses, told: await Promise.all(whole.told), isAborted: stop.signal?.aborted === true };
}

/** 0 … L − 1, L − 1 … 0 */
const thereAndBack = (blocks: number): number[] => {
  const there = Array.from({ length: blocks }, (_, block) => block);
  return [...there, ...[...there].reverse()];
};

/** @returns the micro-batch's loss */
async function addOne<B extends ModelBatch>(
  run: RunContext<B>,
  shards: ShardedBlocks,
  whole: WholeStep<B>,
  microBatch: number,
  joins: number,
): Promise<number> {
  const variables = run.trainables.map(({ variable }) => variable);
  const pending: Pending[] = [];
  /** By the variables' names. */
  const sums = new Map<string, Tensor>();
  let state: Tensor2D | undefined;
  let gradient: Tensor | undefined;
  let loss = Number.NaN;
  let done = 0;

  const forward = async (block: number): Promise<void> => {
    const input = state;
    const recorded = recordGradients<Tensor>(() => {
      const window = shards.windowOf(block);
      const result = runStage(() => scaledLoss(run, whole, microBatch, { window, input }));
      return result.kind === 'state' ? result.state : result.output;
    }, [...variables, ...(input ? [input] : [])]);
    pending.push({ input, recorded });
    state = undefined;
    if (block < shards.blocks - 1) state = recorded.value as Tensor2D;
    else {
      [loss] = (await recorded.value.data<'float32'>()) as unknown as [number];
      recorded.value.dispose();
    }
  };
  const backward = (block: number): void => {
    const { input, recorded } = pending.pop()!;
    // nothing that trains may lie behind a block
    const isNeeded = block === shards.blocks - 1 || gradient !== undefined;
    const gradients = isNeeded ? recorded.gradients(gradient) : [];
    if (!isNeeded) recorded.dispose();
    gradient?.dispose();
    gradient = input && gradients[variables.length];
    for (const [i, { name }] of variables.entries()) {
      const found = gradients[i];
      if (found) sums.set(name, joinedSum(sums.get(name), found));
    }
    input?.dispose();
  };

  try {
    await shards.inOrder(thereAndBack(shards.blocks), async (block) => {
      if (done < shards.blocks) await forward(block);
      else backward(block);
      done += 1;
    });
    await run.accumulator.addGradients(Object.fromEntries(sums), joins);
    return loss;
  } finally {
    for (const { input, recorded } of pending) {
      recorded.dispose();
      input?.dispose();
    }
    tf.dispose([state, gradient, ...sums.values()].filter((tensor) => tensor !== undefined));
  }
}

/** The sum of what two blocks make of a parameter that both read; both are disposed. */
function joinedSum(sum: Tensor | undefined, further: Tensor): Tensor {
  if (!sum) return further;
  const joined = tf.add(sum, further);
  tf.dispose([sum, further]);
  return joined;
}
