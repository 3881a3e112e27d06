/**
 * Rows at chosen places of a matrix that is larger than they are: what a cache of keys and values
 * grows by. y `[size, D]` is x `[M, D]` after `moves`, then with rows of `added` at theirs:
 *
 *   y[to … to+count) = x[from … from+count) of each move, = added[from … from+count) of each addition.
 *
 * Rows that nothing was laid in have no value. A kernel may go on in the memory of x, so that a token
 * costs its own rows and not those of the whole context. Outside the tape.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { runKernel } from '../tape/kernel.js';
import type { RowPlan } from '../tape/kernels.js';
import { copyRows } from './copy-rows.js';

/**
 * @param x `[M, D]`, taken over where the plan is in place: nobody may read it afterwards. The caller
 *   still disposes of it.
 * @param added `[N, D]`.
 * @returns `[size, D]`, owned by the enclosing scope.
 * @throws PEFT_SHAPE_MISMATCH for unequal widths; PEFT_ROW_PLAN for a range outside of its matrix
 */
export function layRows(
  x: Tensor2D | undefined,
  added: Tensor2D | undefined,
  plan: RowPlan,
): Tensor2D {
  const width = (x ?? added)?.shape[1];
  if (width === undefined || (x && added && added.shape[1] !== width))
    throw new PeftError(
      'PEFT_SHAPE_MISMATCH',
      `layRows: rows of width ${added?.shape[1]} cannot lie among those of width ${x?.shape[1]}.`,
    );
  const [rows, more] = [x?.shape[0] ?? 0, added?.shape[0] ?? 0];
  if (plan.isInPlace && plan.size !== rows)
    throw planError(`a matrix of ${rows} rows cannot become one of ${plan.size} in place`);
  checkRanges('moves', plan.moves, rows, plan.size);
  checkRanges('additions', plan.additions, more, plan.size);
  return runKernel('PeftLayRows', { x, added }, plan, () => [
    referenceLay(x, added, plan),
  ])[0] as Tensor2D;
}

/** Calls `each` for every range of a plan. */
export function eachRange(
  ranges: Int32Array,
  each: (from: number, to: number, count: number) => void,
): void {
  for (let i = 0; i < ranges.length; i += 3) each(ranges[i]!, ranges[i + 1]!, ranges[i + 2]!);
}

/**
 * Which row each row of y is: below M of x, from M on of `added`, −1 where nothing was laid.
 * @param rows M
 */
export function rowsOfPlan(
  { size, isInPlace, moves, additions }: RowPlan,
  rows: number,
): Int32Array {
  const order = new Int32Array(size).fill(-1);
  if (isInPlace) for (let row = 0; row < size; row += 1) order[row] = row;
  eachRange(moves, (from, to, count) => {
    if (isInPlace) order.copyWithin(to, from, from + count);
    else for (let n = 0; n < count; n += 1) order[to + n] = from + n;
  });
  eachRange(additions, (from, to, count) => {
    for (let n = 0; n < count; n += 1) order[to + n] = rows + from + n;
  });
  return order;
}

function referenceLay(
  x: Tensor2D | undefined,
  added: Tensor2D | undefined,
  plan: RowPlan,
): Tensor2D {
  const parts = [x, added].filter((part) => part !== undefined);
  const order = rowsOfPlan(plan, x?.shape[0] ?? 0);
  return tf.tidy(() => copyRows(parts.length > 1 ? tf.concat(parts, 0) : parts[0]!, order));
}

function checkRanges(what: string, ranges: Int32Array, rows: number, size: number): void {
  if (ranges.length % 3 !== 0) throw planError(`${what} are no triples`);
  eachRange(ranges, (from, to, count) => {
    if (from < 0 || count < 0 || from + count > rows || to < 0 || to + count > size)
      throw planError(
        `of ${what}, ${count} rows from ${from} of ${rows} do not go to ${to} of ${size}`,
      );
  });
}

const planError = (problem: string): PeftError =>
  new PeftError('PEFT_ROW_PLAN', `layRows: ${problem}.`, {
    hint: 'ranges are triples [from, to, count] inside of both matrices',
  });
