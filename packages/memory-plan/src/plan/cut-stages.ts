/**
 * Where a model is cut into stages: so that the stage that computes most has as little to do as can
 * be, where each then fits into memory, else so that the stage with the most memory has as little as
 * can be.
 *
 * A stage holds the weights of its blocks, what stands in front of the blocks (the first) or behind
 * them (the last), and what its blocks keep for the backward passes of as many micro-batches as there
 * are stages from it to the last (one forward, one backward pass in turn).
 */
import {
  blocksOfParameters,
  requireStages,
  stageParameters,
  type ModelDescription,
  type Stage,
} from '@peft/core';
import { activationBytesOfBlock } from './block-activations.js';
import type { PlannedStage } from '../sizing/measure-step.js';
import { createPlanner, planMemory, type PlanRequest } from './plan-memory.js';

/** A run whose model is cut. */
export interface CutRequest extends PlanRequest {
  readonly stages: number;
}

/**
 * @returns the stages, the first first
 * @throws PEFT_STAGE_UNSUPPORTED for a model that cannot be cut
 */
export function cutStages({ stages, ...request }: CutRequest): PlannedStage[] {
  const planner = createPlanner(request);
  try {
    const { description, weightBytesOf } = planner.model(request.quantization);
    requireStages(description, stages);
    const blocks = description.layers.encoder + description.layers.decoder;
    const blockOf = blocksOfParameters(description);
    const inBlock = new Array<number>(blocks).fill(0);
    for (const { name } of description.parameters) {
      const block = blockOf.get(name);
      if (block !== undefined) inBlock[block]! += weightBytesOf(name);
    }
    const outside = (stage: Stage): number =>
      [...stageParameters(description, stage)]
        .filter((name) => !blockOf.has(name))
        .reduce((sum, name) => sum + weightBytesOf(name), 0);
    const kept = activationBytesOfBlock(description, request);
    const bytesOf = (first: number, end: number, index: number): number =>
      outside({ first, end, blocks }) +
      inBlock.slice(first, end).reduce((sum, bytes) => sum + bytes, 0) +
      (stages - index) * (end - first) * kept;
    const cutAt = (starts: readonly number[]): PlannedStage[] =>
      starts.map((first, index) => ({
        first,
        end: starts[index + 1] ?? blocks,
        blocks,
        inFlight: stages - index,
      }));
    const byWork = cutAt(
      evenCuts(blocks, stages, (first, end) => stageWork(description, { first, end, blocks })),
    );
    const fits = byWork.every((stage) => planMemory({ ...request, stage }).fits);
    return fits ? byWork : cutAt(evenCuts(blocks, stages, bytesOf));
  } finally {
    planner.dispose();
  }
}

/**
 * The share of a model's products that a stage computes, by the weights of its linear maps; the
 * output layer is the last one's.
 */
export function stageWork({ sites }: ModelDescription, { first, end, blocks }: Stage): number {
  let [own, all] = [0, 0];
  for (const site of sites) {
    if (site.kind !== 'linear') continue;
    const weights = site.inFeatures * site.outFeatures;
    const block = site.layer ?? blocks - 1;
    if (block >= first && block < end) own += weights;
    all += weights;
  }
  return own / all;
}

/**
 * Starts of runs of blocks, one at least, whose largest costs least; of equals, that with the
 * smaller first runs.
 */
export function evenCuts(
  blocks: number,
  stages: number,
  bytesOf: (first: number, end: number, stage: number) => number,
): number[] {
  /** By the number of blocks: the least that the largest of the first stages can have. */
  let best = new Map([[0, { most: 0, starts: [] as number[] }]]);
  for (let stage = 0; stage < stages; stage += 1) {
    const next: typeof best = new Map();
    for (let end = stage + 1; end <= blocks - (stages - stage - 1); end += 1)
      for (const [first, { most, starts }] of best) {
        if (first >= end) continue;
        const here = Math.max(most, bytesOf(first, end, stage));
        const found = next.get(end);
        if (!found || here < found.most) next.set(end, { most: here, starts: [...starts, first] });
      }
    best = next;
  }
  return best.get(blocks)!.starts;
}
