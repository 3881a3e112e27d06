/** Weights of a batch's rows: how much each counts, in the loss and in its normaliser. */
import type { ModelBatch } from '@peft/core';
import { PeftError } from '@peft/errors';

/** A packed batch whose sequences may count differently. */
export interface WeightedBatch extends ModelBatch {
  /** float32 `[B]`, at least 0. Default: 1 each. */
  readonly weights?: Float32Array;
}

/**
 * The weights of a batch; undefined where all are 1.
 * @throws PEFT_TASK_LABELS for another number of them, or one that is negative or not finite
 */
export function rowWeights(
  task: string,
  { weights, offsets }: WeightedBatch,
): Float32Array | undefined {
  if (!weights) return undefined;
  const rows = offsets.length - 1;
  const bad = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (weights.length === rows && bad < 0) return weights;
  throw new PeftError(
    'PEFT_TASK_LABELS',
    `${task}: a batch of ${rows} sequences has ` +
      `${bad < 0 ? `${weights.length} weights` : `the weight ${weights[bad]}`}.`,
    { hint: 'give each row a finite weight of at least 0' },
  );
}

/** Σ of the weights, the number of rows without. */
export const totalWeight = (weights: Float32Array | undefined, rows: number): number =>
  weights ? weights.reduce((sum, weight) => sum + weight, 0) : rows;
