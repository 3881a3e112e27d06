/**
 * What the classification heads of all families share: which rows they read, and their parameters'
 * start values.
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows } from '@peft/ops';
import type { HeadOptions } from '@peft/core';

/**
 * The head's own module prefix question: `none` and `pooled-linear` run the bare model, whose names
 * lack the class prefix.
 */
export const isBare = (head: HeadOptions): boolean =>
  head.kind === 'none' || head.kind === 'pooled-linear';

/** The first row of each sequence. x `[N, D]` → `[B, D]`. */
export const firstRows = (x: Tensor2D, offsets: Int32Array): Tensor2D =>
  gatherRows(x, offsets.slice(0, -1));

/**
 * Number of the last row of each sequence whose id is not `padId`, as transformers pools decoders;
 * the last row without ids.
 */
export function lastTokenRows(
  offsets: Int32Array,
  inputIds?: Int32Array,
  padId?: number,
): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, b) => {
    const [start, end] = [offsets[b]!, offsets[b + 1]!];
    if (!inputIds || padId === undefined) return end - 1;
    for (let n = end - 1; n >= start; n -= 1) if (inputIds[n] !== padId) return n;
    return start;
  });
}
