/**
 * Sequences of similar length side by side, so that the references of attention can compute each
 * group as one batched product: most of tfjs's time for small tensors is per call, and 32 short
 * texts have two dozen different lengths. A group's sequences are filled up to its longest one with
 * rows of zeros, which its callers hide. Only the references do so, and inside one operation.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { copyRows } from '../rows/copy-rows.js';

/** Lengths that differ by less share a group. */
const LENGTH_STEP = 16;

/**
 * G sequences of up to Tq queries and Tk keys. In grouped order they are rows `queryStart` … + G·Tq
 * and `keyStart` … + G·Tk.
 */
export interface SequenceGroup {
  readonly sequences: readonly number[];
  /** Tq and Tk of the longest. */
  readonly queryLength: number;
  readonly keyLength: number;
  /** Tk − Tq of each of them, where positions matter. */
  readonly offset: number;
  /** Tk of each. */
  readonly keyLengths: readonly number[];
  readonly queryStart: number;
  readonly keyStart: number;
}

export interface SequenceGroups {
  readonly groups: readonly SequenceGroup[];
  readonly queries: GroupedRows;
  readonly keys: GroupedRows;
}

/**
 * Which row of the batch comes n-th in grouped order, −1 for a row of zeros; undefined when the
 * batch is in that order.
 */
export type GroupedRows = Int32Array | undefined;

/** @param withPositions Tk − Tq is the same in a group: masks and biases look at distances. */
export function groupSequences(
  queryOffsets: Int32Array,
  keyOffsets: Int32Array,
  withPositions: boolean,
): SequenceGroups {
  const length = (offsets: Int32Array, b: number) => offsets[b + 1]! - offsets[b]!;
  const similar = new Map<string, number[]>();
  for (let b = 0; b + 1 < queryOffsets.length; b += 1) {
    const [queries, keys] = [length(queryOffsets, b), length(keyOffsets, b)];
    const name = [
      Math.ceil(queries / LENGTH_STEP),
      Math.ceil(keys / LENGTH_STEP),
      withPositions ? keys - queries : '',
    ].join();
    const group = similar.get(name);
    if (group) group.push(b);
    else similar.set(name, [b]);
  }
  let queryStart = 0;
  let keyStart = 0;
  const groups = [...similar.values()].map((sequences): SequenceGroup => {
    const keyLengths = sequences.map((b) => length(keyOffsets, b));
    const keyLength = Math.max(...keyLengths);
    const queryLength = Math.max(...sequences.map((b) => length(queryOffsets, b)));
    const group = {
      sequences,
      queryLength,
      keyLength,
      offset: length(keyOffsets, sequences[0]!) - length(queryOffsets, sequences[0]!),
      keyLengths,
      queryStart,
      keyStart,
    };
    queryStart += sequences.length * queryLength;
    keyStart += sequences.length * keyLength;
    return group;
  });
  return {
    groups,
    queries: groupedRows(groups, queryOffsets, 'queryLength'),
    keys: groupedRows(groups, keyOffsets, 'keyLength'),
  };
}

function groupedRows(
  groups: readonly SequenceGroup[],
  offsets: Int32Array,
  length: 'queryLength' | 'keyLength',
): GroupedRows {
  const rows = groups.flatMap((group) =>
    group.sequences.flatMap((b) =>
      Array.from({ length: group[length] }, (_, t) =>
        offsets[b]! + t < offsets[b + 1]! ? offsets[b]! + t : -1,
      ),
    ),
  );
  return rows.every((row, n) => row === n) ? undefined : Int32Array.from(rows);
}

/** x in grouped order. @param fill what added rows hold. */
export const toGroupedOrder = <T extends Tensor>(x: T, rows: GroupedRows, fill = 0): T =>
  rows ? copyRows(x, rows, fill) : x;

/** Parts of the groups, one after another in grouped order, back in the order of the batch. */
export function fromGroupedOrder<T extends Tensor>(parts: readonly T[], rows: GroupedRows): T {
  const grouped = parts.length === 1 ? parts[0]! : (tf.concat(parts as T[], 0) as T);
  if (!rows) return grouped;
  const places = new Int32Array(rows.reduce((count, row) => count + (row >= 0 ? 1 : 0), 0));
  rows.forEach((row, n) => row >= 0 && (places[row] = n));
  return copyRows(grouped, places);
}

/** Rows `start` … of x `[N, H·E]` as G sequences with the heads in front: `[G·H, T, E]`. */
export function splitHeads(
  x: Tensor2D,
  start: number,
  sequences: number,
  length: number,
  heads: number,
): Tensor3D {
  const size = x.shape[1] / heads;
  const rows =
    sequences * length === x.shape[0] ? x : tf.slice(x, [start, 0], [sequences * length, -1]);
  if (heads === 1 || length === 1) return tf.reshape(rows, [sequences * heads, length, size]);
  return tf.reshape(
    tf.transpose(tf.reshape(rows, [sequences, length, heads, size]), [0, 2, 1, 3]),
    [sequences * heads, length, size],
  );
}

/** The inverse of {@link splitHeads}: `[G·H, T, E]` as rows `[G·T, H·E]`. */
export function joinHeads(x: Tensor3D, heads: number): Tensor2D {
  const [batch, length, size] = x.shape;
  const sequences = batch / heads;
  if (heads === 1 || length === 1) return tf.reshape(x, [sequences * length, heads * size]);
  return tf.reshape(tf.transpose(tf.reshape(x, [sequences, heads, length, size]), [0, 2, 1, 3]), [
    sequences * length,
    heads * size,
  ]);
}
