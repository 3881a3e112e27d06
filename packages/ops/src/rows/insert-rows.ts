/**
 * Virtual rows in front of every sequence (prompt tuning): the P rows of `prefix` come before the
 * rows of each of the B sequences. Gradient: dx takes its own rows of dy, dprefix_p = Σ_b dy at row
 * p of sequence b.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '../tape/differentiable.js';
import { gatherRows } from './gather-rows.js';
import { checkOffsets } from '../positions/offsets.js';
import { sumRows } from './sum-rows.js';

/** Sequences that begin with further rows. */
export interface InsertedRows {
  /** `[N + B·P, D]`, owned by the enclosing scope. */
  readonly x: Tensor2D;
  /** `[B+1]`, of the longer sequences. */
  readonly offsets: Int32Array;
  /** `[N]`: where row n of the input is now. */
  readonly ownRows: Int32Array;
  /** P: rows in front of each sequence. */
  readonly count: number;
}

/**
 * @param x `[N, D]`. @param offsets `[B+1]`. @param prefix `[P, D]`, or `[B·P, D]`, P rows for each
 *   sequence in turn, with `perSequence`.
 * @throws PEFT_OFFSETS_INVALID; PEFT_PREFIX_SHAPE when the prefix is not as wide as x, or has other
 *   than as many rows for each sequence.
 */
export function insertRows(
  x: Tensor2D,
  offsets: Int32Array,
  prefix: Tensor2D,
  perSequence = false,
): InsertedRows {
  const [rows, width] = x.shape;
  const [prefixRows, prefixWidth] = prefix.shape;
  const sequences = offsets.length - 1;
  const count = perSequence ? prefixRows / sequences : prefixRows;
  checkOffsets('insertRows', offsets, rows);
  if (prefixWidth !== width)
    throw new PeftError(
      'PEFT_PREFIX_SHAPE',
      `insertRows: the prefix is ${prefixWidth} wide, the sequences ${width}.`,
      { hint: 'the adapter was probably made for another model' },
    );
  if (!Number.isInteger(count))
    throw new PeftError(
      'PEFT_PREFIX_SHAPE',
      `insertRows: ${prefixRows} rows are no equal number for each of ${sequences} sequences.`,
    );
  const longer = offsets.map((offset, b) => offset + b * count);
  const source = new Int32Array(rows + sequences * count); // rows of [prefix; x]
  const ownRows = new Int32Array(rows);
  const placed: number[] = []; // the prefix's, of one sequence after another
  for (let b = 0; b < sequences; b += 1) {
    for (let p = 0; p < count; p += 1) {
      source[longer[b]! + p] = perSequence ? b * count + p : p;
      placed.push(longer[b]! + p);
    }
    for (let n = offsets[b]!; n < offsets[b + 1]!; n += 1) {
      ownRows[n] = n + (b + 1) * count;
      source[ownRows[n]!] = prefixRows + n;
    }
  }
  const inserted = differentiable<'x' | 'prefix', Tensor2D>(
    { x, prefix },
    () => gatherRows(tf.concat([prefix, x], 0), source),
    ({ dy, needs }) => ({
      x: needs.x ? gatherRows(dy as Tensor2D, ownRows) : undefined,
      prefix: needs.prefix
        ? ofPrefix(gatherRows(dy as Tensor2D, Int32Array.from(placed)))
        : undefined,
    }),
  );
  return { x: inserted, offsets: longer, ownRows, count };

  function ofPrefix(dy: Tensor2D): Tensor2D {
    if (perSequence) return dy;
    const summed = sumRows(tf.reshape(dy, [sequences, count * width]));
    return tf.reshape(summed, [count, width]);
  }
}
