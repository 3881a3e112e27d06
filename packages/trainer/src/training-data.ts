/** What the loop asks of its data: lengths to plan by, batches by number, and the order of a run as a pure function of the epoch. */
import type { ModelBatch } from '@peft/core';

/** Examples that can be packed into batches. */
export interface TrainingData<B extends ModelBatch = ModelBatch> {
  /** Tokens of each example. Its length is the number of examples. */
  readonly lengths: ArrayLike<number>;
  /** Packs these examples, in this order, with their labels. */
  pack(indices: readonly number[]): B | Promise<B>;
}

/** Which examples make each optimiser step. A pure function of the epoch, so that a resumed run sees the same order. */
export interface BatchOrder {
  /** The effective batches of an epoch, each a list of example numbers. */
  batches(epoch: number): readonly ArrayLike<number>[];
  /** What decides the order (batch size, seed …); a resumed run must have the same. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Limits of what the model computes at once. */
export interface MicroBatchLimits {
  /** Examples per micro-batch. Default: no limit. */
  readonly microBatchSize?: number;
  /** Tokens per micro-batch; a longer example has one of its own. Default: no limit. */
  readonly maxTokensPerMicroBatch?: number;
}

/** Splits examples into runs within the limits, in the order given; no run is empty. */
export function splitIntoMicroBatches(indices: ArrayLike<number>, lengths: ArrayLike<number>, { microBatchSize = Infinity, maxTokensPerMicroBatch = Infinity }: MicroBatchLimits): number[][] {
  const parts: number[][] = [];
  let tokens = 0;
  for (const index of Array.from(indices)) {
    const length = lengths[index]!;
    const current = parts.at(-1);
    if (!current || current.length >= microBatchSize || tokens + length > maxTokensPerMicroBatch) {
      parts.push([index]);
      tokens = length;
    } else {
      current.push(index);
      tokens += length;
    }
  }
  return parts;
}
