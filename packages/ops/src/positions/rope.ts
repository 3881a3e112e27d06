/**
 * Rotary positions (Su et al. 2021) on x `[N, H·E]`: within a head, with R = 2·(columns of cos) ≤
 * E, the pair (a, b) = (x_i, x_{i+R/2}) for i < R/2 turns by the angle of its row's position, a' =
 * a·cos − b·sin, b' = b·cos + a·sin; columns from R on pass through. Interleaved, the pairs are
 * (x_{2i}, x_{2i+1}), as in GPT-J's form of them. The gradient turns back.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import { copyRows } from '../rows/copy-rows.js';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import type { RopeTables } from './rope-tables.js';

/**
 * @param x `[N, H·E]`.
 * @param tables cos, sin `[T, R/2]`; see `ropeTables`.
 * @param positions `[N]`, each in [0, T).
 * @param heads H
 * @param options.interleaved pairs are neighbours; default false.
 * @returns `[N, H·E]`, owned by the enclosing scope.
 * @throws PEFT_ROPE_RANGE for a position outside the tables, or heads narrower than they are.
 */
export function rope(
  x: Tensor2D,
  { cos, sin }: RopeTables,
  positions: Int32Array,
  heads: number,
  { interleaved = false }: { readonly interleaved?: boolean } = {},
): Tensor2D {
  check.positiveInteger('rope', 'heads', heads);
  const [rows, width] = x.shape;
  const size = width / heads;
  if (!Number.isInteger(size) || 2 * cos.shape[1] > size)
    throw ropeError(
      `tables of ${cos.shape[1]} angles do not fit ${heads} heads in a width of ${width}`,
    );
  if (positions.length !== rows)
    throw ropeError(`${positions.length} positions were given for ${rows} rows`);
  const outside = positions.find((position) => position < 0 || position >= cos.shape[0]);
  if (outside !== undefined)
    throw ropeError(`position ${outside} is outside the ${cos.shape[0]} rows of the tables`);
  const turn = (input: Tensor2D, c: Tensor2D, s: Tensor2D, inverse: boolean) =>
    runKernel(
      'PeftRope',
      { x: input, cos: c, sin: s },
      { positions, heads, inverse, interleaved },
      () => [referenceRope(input, c, s, { positions, heads, inverse, interleaved })],
    )[0]!;
  return differentiable<'x', Tensor2D>(
    { x },
    (save) => {
      save([cos, sin]);
      return turn(x, cos, sin, false);
    },
    ({ dy, saved: [c, s] }) => ({ x: turn(dy as Tensor2D, c as Tensor2D, s as Tensor2D, true) }),
  );
}

function referenceRope(
  x: Tensor2D,
  cos: Tensor2D,
  sin: Tensor2D,
  {
    positions,
    heads,
    inverse,
    interleaved,
  }: {
    readonly positions: Int32Array;
    readonly heads: number;
    readonly inverse: boolean;
    readonly interleaved: boolean;
  },
): Tensor {
  const [rows, width] = x.shape;
  const half = cos.shape[1];
  const size = width / heads;
  const rest = size - 2 * half;
  const [turning, passed] = tf.split(
    tf.reshape(x, [rows, heads, size]),
    rest > 0 ? [2 * half, rest] : [2 * half],
    2,
  ) as [Tensor3D, Tensor3D?];
  const [a, b] = (
    interleaved
      ? tf.unstack(tf.reshape(turning, [rows, heads, half, 2]), 3)
      : tf.split(turning, 2, 2)
  ) as [Tensor, Tensor];
  // [N, 1, R/2]
  const angleRows = (table: Tensor2D) => tf.expandDims(copyRows(table, positions), 1);
  const c = angleRows(cos);
  const s = inverse ? tf.neg(angleRows(sin)) : angleRows(sin);
  const turned = [tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))];
  const joined = interleaved
    ? tf.reshape(tf.stack(turned, 3), [rows, heads, 2 * half])
    : tf.concat(turned, 2);
  return tf.reshape(passed ? tf.concat([joined, passed], 2) : joined, [rows, width]);
}

function ropeError(problem: string): PeftError {
  return new PeftError('PEFT_ROPE_RANGE', `rope: ${problem}.`, {
    hint: 'make the tables with ropeTables for the length of the longest sequence',
  });
}
