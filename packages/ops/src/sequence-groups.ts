/**
 * Sequences of equal length side by side, so that the references of attention can compute each group as one batched product:
 * a batch of 32 short texts has a dozen different lengths, and most of tfjs's time for small tensors is per call.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { copyRows } from './copy-rows.js';

/** G sequences of Tq queries and Tk keys. In grouped order they are rows `queryStart` … + G·Tq and `keyStart` … + G·Tk. */
export interface SequenceGroup {
  readonly sequences: readonly number[];
  readonly queryLength: number;
  readonly keyLength: number;
  readonly queryStart: number;
  readonly keyStart: number;
}

export interface SequenceGroups {
  readonly groups: readonly SequenceGroup[];
  /** Row of the batch that comes n-th in grouped order; undefined when the batch is in that order. */
  readonly queryRows: Int32Array | undefined;
  readonly keyRows: Int32Array | undefined;
}

export function groupSequences(queryOffsets: Int32Array, keyOffsets: Int32Array): SequenceGroups {
  const byLength = new Map<string, number[]>();
  const length = (offsets: Int32Array, b: number) => offsets[b + 1]! - offsets[b]!;
  for (let b = 0; b + 1 < queryOffsets.length; b += 1) {
    const key = `${length(queryOffsets, b)},${length(keyOffsets, b)}`;
    const same = byLength.get(key);
    if (same) same.push(b);
    else byLength.set(key, [b]);
  }
  let queryStart = 0;
  let keyStart = 0;
  const groups = [...byLength.values()].map((sequences) => {
    const group = { sequences, queryLength: length(queryOffsets, sequences[0]!), keyLength: length(keyOffsets, sequences[0]!), queryStart, keyStart };
    queryStart += sequences.length * group.queryLength;
    keyStart += sequences.length * group.keyLength;
    return group;
  });
  return { groups, queryRows: rowsInOrder(groups, queryOffsets), keyRows: rowsInOrder(groups, keyOffsets) };
}

function rowsInOrder(groups: readonly SequenceGroup[], offsets: Int32Array): Int32Array | undefined {
  const rows = new Int32Array(offsets.at(-1)!);
  let at = 0;
  for (const b of groups.flatMap(({ sequences }) => sequences)) for (let n = offsets[b]!; n < offsets[b + 1]!; n += 1) rows[at++] = n;
  return rows.every((row, n) => row === n) ? undefined : rows;
}

/** x in grouped order. */
export const toGroupedOrder = <T extends Tensor>(x: T, rows: Int32Array | undefined): T => (rows ? copyRows(x, rows) : x);

/** Parts of the groups, one after another in grouped order, back in the order of the batch. */
export function fromGroupedOrder<T extends Tensor>(parts: readonly T[], rows: Int32Array | undefined): T {
  const grouped = parts.length === 1 ? parts[0]! : (tf.concat(parts as T[], 0) as T);
  if (!rows) return grouped;
  const places = new Int32Array(rows.length);
  rows.forEach((row, n) => (places[row] = n));
  return copyRows(grouped, places);
}

/** Rows `start` … of x `[N, H·E]` as G sequences with the heads in front: `[G·H, T, E]`. */
export function splitHeads(x: Tensor2D, start: number, sequences: number, length: number, heads: number): Tensor3D {
  const size = x.shape[1] / heads;
  const rows = sequences * length === x.shape[0] ? x : tf.slice(x, [start, 0], [sequences * length, -1]);
  if (heads === 1 || length === 1) return tf.reshape(rows, [sequences * heads, length, size]);
  return tf.reshape(tf.transpose(tf.reshape(rows, [sequences, length, heads, size]), [0, 2, 1, 3]), [sequences * heads, length, size]);
}

/** The inverse of {@link splitHeads}: `[G·H, T, E]` as rows `[G·T, H·E]`. */
export function joinHeads(x: Tensor3D, heads: number): Tensor2D {
  const [batch, length, size] = x.shape;
  const sequences = batch / heads;
  if (heads === 1 || length === 1) return tf.reshape(x, [sequences * length, heads * size]);
  return tf.reshape(tf.transpose(tf.reshape(x, [sequences, heads, length, size]), [0, 2, 1, 3]), [sequences * length, heads * size]);
}
