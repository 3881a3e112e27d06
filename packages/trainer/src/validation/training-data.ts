/**
 * What the loop asks of its data: lengths to plan by, batches by row, and the order of a run as a
 * pure function of the epoch.
 */
import type { ModelBatch } from '@peft/core';
import {
  createBatchPlan,
  type BatchPlanOptions,
  type PackedBatch,
  type PlannedBatch,
  type TokenizedTable,
} from '@peft/data';
import type { WeightedBatch } from '../tasks/row-weights.js';

/** Rows that can be packed into batches. */
export interface TrainingData<B extends ModelBatch = ModelBatch> {
  /** Tokens of each row. Its length is the number of rows. */
  readonly lengths: ArrayLike<number>;
  /** Packs these rows, in this order, with their labels. */
  pack(rows: Int32Array): B | Promise<B>;
}

/**
 * Which rows make each optimiser step. A pure function of the epoch, so that a resumed run sees the
 * same order.
 */
export interface BatchOrder {
  /** The steps of an epoch, each the rows of its micro-batches. */
  batches(epoch: number): readonly PlannedBatch[];
  /** What decides the order (batch size, seed …), JSON-safe; a resumed run must have the same. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What rows have beside their tokens and labels. */
export interface TableDataOptions {
  /** Labels of a row. Default 1. */
  readonly width?: number;
  /** How much each row counts `[rows]`. Default: 1 each. */
  readonly weights?: Float32Array | undefined;
}

/**
 * A tokenised table with its labels: class ids, scaled numbers, or several numbers per row.
 * @param labels `[rows, width]`
 */
export function tableData(
  table: TokenizedTable,
  labels?: Int32Array | Float32Array,
  { width = 1, weights }: TableDataOptions = {},
): TrainingData<PackedBatch & Pick<WeightedBatch, 'weights'>> {
  return {
    lengths: table.lengths,
    pack: (rows) => ({
      ...table.batch(rows),
      labels: labels && rowsOf(labels, rows, width),
      weights: weights && Float32Array.from(rows, (row) => weights[row]!),
    }),
  };
}

/** Some rows of values `[rows, width]`. */
function rowsOf(
  values: Int32Array | Float32Array,
  rows: Int32Array,
  width: number,
): Int32Array | Float32Array {
  const size = rows.length * width;
  const some = values instanceof Int32Array ? new Int32Array(size) : new Float32Array(size);
  rows.forEach((row, i) => some.set(values.subarray(row * width, (row + 1) * width), i * width));
  return some;
}

/**
 * An order by `@peft/data`'s batch plan: every row once an epoch.
 * @throws PEFT_CONFIG_INVALID for sizes that are not positive integers
 */
export function createBatchOrder(options: Omit<BatchPlanOptions, 'epoch'>): BatchOrder {
  const { lengths: _lengths, ...settings } = options;
  let last: { readonly epoch: number; readonly batches: readonly PlannedBatch[] } | undefined;
  const batches = (epoch: number): readonly PlannedBatch[] => {
    if (last?.epoch !== epoch) last = { epoch, batches: createBatchPlan({ ...options, epoch }) };
    return last.batches;
  };
  batches(0);
  return { settings, batches };
}
