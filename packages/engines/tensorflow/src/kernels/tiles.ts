/**
 * Attention in tiles: so many sequences of similar length, so many of their queries, that the
 * scores of a tile fit a fixed budget. Memory then grows with the length of a batch and not with
 * its square.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import {
  dropoutFactors,
  groupSequences,
  type DropoutAttributes,
  type GroupedRows,
  type SequenceGroup,
} from '@peft/ops';

/** Scores of a tile at most: 64 MB in float32, of which a gradient holds about four. */
export const TILE_SCORES = 2 ** 24;

/** A part of a group: whole sequences, and of each the queries `first` … `first + count − 1`. */
export interface Tile {
  readonly group: SequenceGroup;
  readonly first: number;
  readonly count: number;
}

export interface TiledBatch {
  /** Sequences of one or more groups of {@link groupSequences}; the tiles of each in order. */
  readonly parts: readonly { readonly group: SequenceGroup; readonly tiles: readonly Tile[] }[];
  readonly queries: GroupedRows;
  readonly keys: GroupedRows;
}

/**
 * @param extra keys that every sequence sees besides its own.
 * @param budget scores of a tile, at most, if a single query fits.
 */
export function tileBatch(
  queryOffsets: Int32Array,
  keyOffsets: Int32Array,
  withPositions: boolean,
  heads: number,
  extra: number,
  budget: number = TILE_SCORES,
): TiledBatch {
  const { groups, queries, keys } = groupSequences(queryOffsets, keyOffsets, withPositions);
  const parts = groups.flatMap((group) =>
    splitGroup(
      group,
      Math.max(1, Math.floor(budget / (heads * group.queryLength * (extra + group.keyLength)))),
    ),
  );
  return {
    queries,
    keys,
    parts: parts.map((group) => {
      const rows = Math.min(
        group.queryLength,
        Math.max(
          1,
          Math.floor(budget / (group.sequences.length * heads * (extra + group.keyLength))),
        ),
      );
      return {
        group,
        tiles: Array.from({ length: Math.ceil(group.queryLength / rows) }, (_, n) => ({
          group,
          first: n * rows,
          count: Math.min(rows, group.queryLength - n * rows),
        })),
      };
    }),
  };
}

function splitGroup(group: SequenceGroup, most: number): SequenceGroup[] {
  const { sequences, keyLengths, queryStart, queryLength, keyStart, keyLength } = group;
  return Array.from({ length: Math.ceil(sequences.length / most) }, (_, n) => ({
    ...group,
    sequences: sequences.slice(n * most, (n + 1) * most),
    keyLengths: keyLengths.slice(n * most, (n + 1) * most),
    queryStart: queryStart + n * most * queryLength,
    keyStart: keyStart + n * most * keyLength,
  }));
}

/** x in grouped order, on the device. @param fill what added rows hold. */
export function toGrouped(x: Tensor, rows: GroupedRows, fill = 0): Tensor2D {
  if (!rows) return x as Tensor2D;
  const [count, width] = x.shape as [number, number];
  const padded = rows.includes(-1) ? tf.concat([x, tf.fill([1, width], fill)], 0) : x;
  return tf.gather(
    padded,
    tf.tensor1d(
      rows.map((row) => (row < 0 ? count : row)),
      'int32',
    ),
  ) as Tensor2D;
}

/** The parts, one after another in grouped order, back in the order of the batch. */
export function fromGrouped(parts: readonly Tensor[], rows: GroupedRows): Tensor {
  const grouped = parts.length === 1 ? parts[0]! : tf.concat(parts as Tensor[], 0);
  if (!rows) return grouped;
  const places = new Int32Array(rows.reduce((count, row) => count + (row >= 0 ? 1 : 0), 0));
  rows.forEach((row, n) => row >= 0 && (places[row] = n));
  return tf.gather(grouped, tf.tensor1d(places, 'int32'));
}

/** Added to the score of a key that must not be seen: its probability is exactly 0. */
export const HIDDEN = -1e30;
/**
 * logΣexp of a row that a group was filled up with: its probabilities are exactly 0 in the
 * gradient.
 */
export const NO_ROW = 1e30;

/** Hides the keys that shorter sequences of the group do not have: `[G, 1, 1, P+Tk]`. */
export function lengthMask(
  { keyLength, keyLengths }: SequenceGroup,
  extra: number,
): Tensor | undefined {
  if (keyLengths.every((length) => length === keyLength)) return undefined;
  const columns = extra + keyLength;
  const mask = new Float32Array(keyLengths.length * columns);
  keyLengths.forEach((length, g) =>
    mask.fill(HIDDEN, g * columns + extra + length, (g + 1) * columns),
  );
  return tf.tensor4d(mask, [keyLengths.length, 1, 1, columns]);
}

/**
 * Dropout factors `[G, H, tq, P+Tk]`; query row n, head h and column c are number (n·H + h)·stride
 * + c of the stream.
 */
export function tileDropout(
  { group, first, count }: Tile,
  { rate, key }: DropoutAttributes,
  heads: number,
  columns: number,
  stride: number,
  queryOffsets: Int32Array,
): Tensor {
  const factors = new Float32Array(group.sequences.length * heads * count * columns);
  let at = 0;
  for (const b of group.sequences) {
    for (let h = 0; h < heads; h += 1) {
      for (let i = first; i < first + count; i += 1, at += columns) {
        const n = queryOffsets[b]! + i;
        if (n < queryOffsets[b + 1]!)
          factors.set(dropoutFactors(columns, rate, key, (n * heads + h) * stride), at);
      }
    }
  }
  return tf.tensor4d(factors, [group.sequences.length, heads, count, columns]);
}

/**
 * Values by distance as a matrix: `[B, rows, M]` with M = rows + columns − 1 → `[B, rows,
 * columns]`, out[r, j] = x[r, j − r + rows − 1]. Row r is read from element rows − 1 − r on, which
 * in rows padded by one element is a change of shape.
 */
export function skew(x: Tensor, rows: number, columns: number): Tensor {
  const [batch, , width] = x.shape as [number, number, number];
  const flat = tf.reshape(
    tf.pad(x, [
      [0, 0],
      [0, 0],
      [0, 1],
    ]),
    [batch, rows * (width + 1)],
  );
  return tf.slice(
    tf.reshape(tf.slice(flat, [0, rows - 1], [batch, rows * width]), [batch, rows, width]),
    [0, 0, 0],
    [batch, rows, columns],
  );
}

/** The transpose of {@link skew}: `[B, rows, columns]` → `[B, rows, M]`. */
export function unskew(d: Tensor): Tensor {
  const [batch, rows, columns] = d.shape as [number, number, number];
  const width = rows + columns - 1;
  const flat = tf.reshape(
    tf.pad(d, [
      [0, 0],
      [0, 0],
      [0, rows - 1],
    ]),
    [batch, rows * width],
  );
  return tf.slice(
    tf.reshape(
      tf.pad(flat, [
        [0, 0],
        [rows - 1, 1],
      ]),
      [batch, rows, width + 1],
    ),
    [0, 0, 0],
    [batch, rows, width],
  );
}
