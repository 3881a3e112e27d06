/**
 * Rows behind the rows that sequences have already: what a cache of keys and values grows by,
 *
 *   y = [x_0; a_0; x_1; a_1; …], x_b and a_b the old and the new rows of sequence b.
 *
 * A kernel may go on in the memory of x, so that a token costs its own rows and not those of the
 * whole context. Outside the tape.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { gatherRows } from './gather-rows.js';
import { runKernel } from '../tape/kernel.js';
import { checkOffsets } from '../positions/offsets.js';

/**
 * @param x `[M, D]`, taken over: nobody may read it afterwards, and the caller still disposes of
 *   it.
 * @param offsets its sequences `[B+1]`.
 * @param added `[N, D]`. @param addedOffsets `[B+1]`.
 * @returns `[M + N, D]`, owned by the enclosing scope. Sequence b is rows offsets[b] +
 *   addedOffsets[b] … of it.
 * @throws PEFT_OFFSETS_INVALID; PEFT_SHAPE_MISMATCH for unequal widths or numbers of sequences
 */
export function appendRows(
  x: Tensor2D,
  offsets: Int32Array,
  added: Tensor2D,
  addedOffsets: Int32Array,
): Tensor2D {
  checkOffsets('appendRows', offsets, x.shape[0]);
  checkOffsets('appendRows', addedOffsets, added.shape[0]);
  if (x.shape[1] !== added.shape[1] || offsets.length !== addedOffsets.length) {
    throw new PeftError(
      'PEFT_SHAPE_MISMATCH',
      `appendRows: ${offsets.length - 1} sequences of width ${x.shape[1]} cannot go on ` +
        `with ${addedOffsets.length - 1} of width ${added.shape[1]}.`,
    );
  }
  return runKernel('PeftAppendRows', { x, added }, { offsets, addedOffsets }, () => [
    referenceAppend(x, offsets, added, addedOffsets),
  ])[0] as Tensor2D;
}

function referenceAppend(
  x: Tensor2D,
  offsets: Int32Array,
  added: Tensor2D,
  addedOffsets: Int32Array,
): Tensor2D {
  const both = tf.concat([x, added], 0);
  const [sequences, first] = [offsets.length - 1, x.shape[0]];
  if (sequences === 1) return both;
  const rows = new Int32Array(first + added.shape[0]);
  for (let b = 0, n = 0; b < sequences; b += 1) {
    for (let row = offsets[b]!; row < offsets[b + 1]!; row += 1) rows[n++] = row;
    for (let row = addedOffsets[b]!; row < addedOffsets[b + 1]!; row += 1) rows[n++] = first + row;
  }
  return gatherRows(both, rows);
}
