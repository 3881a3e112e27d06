/** Which rows of the last block a head reads, where it alone is read. */
import { unmixableAt } from './mixed-batch.js';
import type { ModelRun } from './model-run.js';

/**
 * The first row of each sequence, where `RunOptions.headRowsOnly` asks for no other and nothing reads
 * more: neither the head nor hidden states that are asked for, and no adapter but those that change
 * rows alone. Padding, sequences that share rows and batches of several adapters have all rows, too.
 * For architectures whose heads read first rows.
 * @param offsets `[B+1]` of the last block's rows.
 * @returns `[B]`; undefined where all rows are to be made.
 */
export function headRows(run: ModelRun, offsets: Int32Array): Int32Array | undefined {
  const { options, host, layouts, description } = run;
  const { head } = description;
  const readsFirst =
    head.kind === 'sequence-classification' ||
    (head.kind === 'pooled-linear' && (head.pooling ?? 'first') === 'first');
  const isOneRowEach = offsets.at(-1) === offsets.length - 1;
  if (!options.headRowsOnly || !readsFirst || isOneRowEach) return undefined;
  if (run.wantsHiddenStates || options.assignment || options.cache) return undefined;
  if (layouts.sharedStart || layouts.attended(offsets)) return undefined;
  if (host.active.some((adapter) => unmixableAt(description, adapter) !== undefined))
    return undefined;
  return offsets.slice(0, -1);
}

/** Layout of one row for each sequence `[B+1]`. */
export const oneRowEach = (sequences: number): Int32Array =>
  Int32Array.from({ length: sequences + 1 }, (_, b) => b);
