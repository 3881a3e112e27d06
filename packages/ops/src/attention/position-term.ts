/**
 * A position term of disentangled attention: content rows `[N, H·E]` of the whole batch times the
 * table's rows for the M = 2·longest − 1 distances that occur, R `[H, N, M]`. A sequence of length
 * T reads the 2T − 1 columns in the middle and shifts row i by i: term(i, j) = R[i, j − i + T − 1].
 * Shifting is a change of shape: padded by one column and read from element T − 1 in rows of 2T −
 * 1.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { copyRows } from '../rows/copy-rows.js';
import { scatterAddRows } from '../rows/gather-rows.js';
import { batchedProduct } from '../products/product.js';
import { joinHeads, splitHeads, type SequenceGroup } from './sequence-groups.js';

export interface PositionTerm {
  /** The group's terms, `[G·H, T, T]`: row i from content row i. */
  of(group: SequenceGroup): Tensor3D;
  /** From the gradient of a group's terms that of its part of R, `[H, G·T, M]`. */
  productGradient(group: SequenceGroup, dTerms: Tensor3D): Tensor3D;
  /** From the parts of all groups, in order: the gradient of the content `[N, H·E]`. */
  contentGradient(parts: readonly Tensor3D[]): Tensor2D;
  /** And that of the table `[S, H·E]`. */
  tableGradient(parts: readonly Tensor3D[]): Tensor2D;
}

/**
 * @param content `[N, H·E]` in grouped order. @param table `[S, H·E]`.
 * @param rows `[M]`: the table's row for column m, which stands for row j = i + m − (longest − 1)
 *   of the sequence.
 */
export function positionTerm(
  content: Tensor2D,
  table: Tensor2D,
  rows: Int32Array,
  heads: number,
): PositionTerm {
  const width = rows.length;
  const longest = (width + 1) / 2;
  const contentHeads = splitHeads(content, 0, 1, content.shape[0], heads); // [H, N, E]
  const tableHeads = splitHeads(copyRows(table, rows), 0, 1, width, heads); // [H, M, E]
  const products = batchedProduct(contentHeads, tableHeads, false, true); // R
  const joined = (parts: readonly Tensor3D[]) =>
    parts.length === 1 ? parts[0]! : tf.concat(parts as Tensor3D[], 1);
  return {
    of: ({ queryStart, queryLength: length, sequences }) => {
      const own = tf.slice(
        products,
        [0, queryStart, longest - length],
        [heads, sequences.length * length, 2 * length - 1],
      );
      return shift(toSequences(own, sequences.length));
    },
    productGradient: ({ queryLength: length, sequences }, dTerms) => {
      const own = toHeads(unshift(dTerms), sequences.length);
      return length === longest
        ? own
        : (tf.pad(own, [
            [0, 0],
            [0, 0],
            [longest - length, longest - length],
          ]) as Tensor3D);
    },
    contentGradient: (parts) => joinHeads(batchedProduct(joined(parts), tableHeads), heads),
    tableGradient: (parts) =>
      scatterAddRows(
        joinHeads(batchedProduct(joined(parts), contentHeads, true, false), heads),
        rows,
        table.shape[0],
      ),
  };
}

/** Heads in front, `[H, G·T, W]` → sequences in front, `[G·H, T, W]`. */
function toSequences(x: Tensor3D, sequences: number): Tensor3D {
  const [heads, rows, width] = x.shape;
  if (sequences === 1) return x;
  return tf.reshape(
    tf.transpose(tf.reshape(x, [heads, sequences, rows / sequences, width]), [1, 0, 2, 3]),
    [sequences * heads, rows / sequences, width],
  );
}

/** The inverse of {@link toSequences}. */
function toHeads(x: Tensor3D, sequences: number): Tensor3D {
  const [batch, length, width] = x.shape;
  if (sequences === 1) return x;
  return tf.reshape(
    tf.transpose(tf.reshape(x, [sequences, batch / sequences, length, width]), [1, 0, 2, 3]),
    [batch / sequences, sequences * length, width],
  );
}

/** R `[B, T, 2T−1]` → `[B, T, T]`: out[i, j] = R[i, j − i + T − 1]. */
function shift(r: Tensor3D): Tensor3D {
  const [batch, length, width] = r.shape;
  const flat = tf.reshape(
    tf.pad(r, [
      [0, 0],
      [0, 0],
      [0, 1],
    ]),
    [batch, length * (width + 1)],
  );
  const rows = tf.reshape(tf.slice(flat, [0, length - 1], [batch, length * width]), [
    batch,
    length,
    width,
  ]);
  return tf.slice(rows, [0, 0, 0], [batch, length, length]) as Tensor3D;
}

/** The transpose of {@link shift}: `[B, T, T]` → `[B, T, 2T−1]`. */
function unshift(d: Tensor3D): Tensor3D {
  const [batch, length] = d.shape;
  const width = 2 * length - 1;
  const flat = tf.reshape(
    tf.pad(d, [
      [0, 0],
      [0, 0],
      [0, length - 1],
    ]),
    [batch, length * width],
  );
  const rows = tf.reshape(
    tf.pad(flat, [
      [0, 0],
      [length - 1, 1],
    ]),
    [batch, length, width + 1],
  );
  return tf.slice(rows, [0, 0, 0], [batch, length, width]) as Tensor3D;
}
