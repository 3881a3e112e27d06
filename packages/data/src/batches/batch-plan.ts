/**
 * Which rows go into which batch and micro-batch, as a pure function of lengths, sizes, seed and
 * epoch: a run that stopped at (epoch, batch) makes the plan again and goes on there, with exactly
 * the batches that were left.
 */
import { check, PeftError } from '@peft/errors';
import { permutation } from '../sampling/permutation.js';

/**
 * What `createBatchPlan` makes an epoch of: lengths in tokens, sizes in rows, and what names the order.
 */
export interface BatchPlanOptions {
  /** Tokens of each row `[rows]`. */
  readonly lengths: ArrayLike<number>;
  /** Rows of one optimiser step. */
  readonly batchSize: number;
  /** Rows that are computed at once. Default: batchSize. */
  readonly microBatchSize?: number;
  /**
   * Instead of, or beside, `microBatchSize`: tokens that are computed at once; a longer row makes a
   * micro-batch of its own.
   */
  readonly maxTokensPerMicroBatch?: number;
  readonly seed: number;
  /** From 0; every epoch has an order of its own. */
  readonly epoch: number;
  /**
   * Default false: every batch is a uniform draw. True: rows of like length share a batch (sorted
   * within random groups of 50 batches), which evens out the time per micro-batch at the price of
   * batches that are less alike.
   */
  readonly groupByLength?: boolean;
}

/** Rows of each micro-batch of one optimiser step. */
export type PlannedBatch = readonly Int32Array[];

const BATCHES_PER_GROUP = 50;

/**
 * Every row once, in random order. Within a batch rows are sorted by length, longest first, before
 * they are cut into micro-batches. The last batch may be short.
 * @throws PEFT_CONFIG_INVALID for sizes that are not positive integers.
 */
export function createBatchPlan(options: BatchPlanOptions): PlannedBatch[] {
  const { lengths, batchSize, seed, epoch, groupByLength = false } = options;
  check.positiveInteger('data', 'batchSize', batchSize);
  check.nonNegativeInteger('data', 'epoch', epoch);
  let order = permutation(lengths.length, [seed, 'batches', epoch]);
  if (groupByLength) {
    const group = batchSize * BATCHES_PER_GROUP;
    order = Int32Array.from(
      chunks(order, group).flatMap((rows) => [...longestFirst(rows, lengths)]),
    );
  }
  let batches = chunks(order, batchSize);
  if (groupByLength) {
    // Sorting has put long batches first; only the order of whole batches is drawn again, a short
    // one stays last.
    const whole = batches.filter((rows) => rows.length === batchSize);
    const short = batches.filter((rows) => rows.length < batchSize);
    batches = [
      ...Array.from(permutation(whole.length, [seed, 'batch order', epoch]), (i) => whole[i]!),
      ...short,
    ];
  }
  return batches.map((rows) => microBatches(rows, options));
}

/** What `createEvaluationPlan` sorts and cuts into batches. */
export interface EvaluationPlanOptions {
  readonly lengths: ArrayLike<number>;
  /** Rows that are computed at once. */
  readonly batchSize: number;
  readonly maxTokensPerBatch?: number;
}

/** All rows, longest first, in batches. `restoreOrder` puts results back. */
export function createEvaluationPlan({
  lengths,
  batchSize,
  maxTokensPerBatch,
}: EvaluationPlanOptions): Int32Array[] {
  check.positiveInteger('data', 'batchSize', batchSize);
  const all = Int32Array.from({ length: lengths.length }, (_, i) => i);
  return microBatches(all, {
    lengths,
    microBatchSize: batchSize,
    batchSize,
    maxTokensPerMicroBatch: maxTokensPerBatch,
  });
}

/**
 * Results in table order, from results in plan order.
 * @param results per batch, the values of its rows one after another: `[B · width]`.
 * @param width values per row.
 * @throws PEFT_BATCH_INVALID if they do not fit the plan.
 */
export function restoreOrder(
  plan: readonly Int32Array[],
  results: readonly ArrayLike<number>[],
  width = 1,
): Float32Array {
  const total = plan.reduce((sum, rows) => sum + rows.length, 0);
  const ordered = new Float32Array(total * width);
  plan.forEach((rows, b) => {
    const values = results[b];
    if (values?.length !== rows.length * width)
      throw new PeftError(
        'PEFT_BATCH_INVALID',
        `data: batch ${b} of ${rows.length} rows has ${values?.length ?? 'no'} results, not ${rows.length * width}.`,
      );
    rows.forEach((row, i) => {
      for (let k = 0; k < width; k += 1) ordered[row * width + k] = values[i * width + k]!;
    });
  });
  return ordered;
}

function microBatches(
  rows: Int32Array,
  {
    lengths,
    batchSize,
    microBatchSize = batchSize,
    maxTokensPerMicroBatch = Number.POSITIVE_INFINITY,
  }: Omit<BatchPlanOptions, 'seed' | 'epoch'>,
): Int32Array[] {
  check.positiveInteger('data', 'microBatchSize', microBatchSize);
  if (maxTokensPerMicroBatch !== Number.POSITIVE_INFINITY)
    check.positiveInteger('data', 'maxTokensPerMicroBatch', maxTokensPerMicroBatch);
  const result: Int32Array[] = [];
  const sorted = longestFirst(rows, lengths);
  let start = 0;
  let tokens = 0;
  sorted.forEach((row, i) => {
    const length = lengths[row]!;
    if (i > start && (i - start === microBatchSize || tokens + length > maxTokensPerMicroBatch)) {
      result.push(sorted.slice(start, i));
      start = i;
      tokens = 0;
    }
    tokens += length;
  });
  if (start < sorted.length) result.push(sorted.slice(start));
  return result;
}

/** Equal lengths keep their order. */
function longestFirst(rows: Int32Array, lengths: ArrayLike<number>): Int32Array {
  return Int32Array.from([...rows].sort((a, b) => lengths[b]! - lengths[a]!));
}

function chunks(rows: Int32Array, size: number): Int32Array[] {
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) =>
    rows.slice(i * size, (i + 1) * size),
  );
}
