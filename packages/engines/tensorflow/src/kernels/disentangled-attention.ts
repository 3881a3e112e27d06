/**
 * DeBERTa's disentangled attention and its gradient in tiles of queries; the position terms of keys
 * in blocks of keys as long as the tile. A position term is a product with the table's rows for the
 * distances that occur, skewed so that each row meets its own distances.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { DisentangledAttributes, SequenceGroup } from '@peft/ops';
import { queryHeads, rowsOf, rowsOfTile, together } from './attention.js';
import { distanceScores, keyTermGradient, queryTermGradient } from './distances.js';
import { nothing, register, type Inputs } from './register.js';
import { scoreExponentials, scoreGradient, scoreProbabilities } from './scores.js';
import {
  fromGrouped,
  lengthMask,
  NO_ROW,
  tileBatch,
  tileDropout,
  toGrouped,
  type Tile,
} from './tiles.js';

type GradientAttributes = DisentangledAttributes & {
  needPositionKeys: boolean;
  needPositionQueries: boolean;
};

export function registerDisentangledAttention(): void {
  register('PeftDisentangledAttention', (inputs, attributes) => forward(inputs, attributes));
  register('PeftDisentangledAttentionGradient', (inputs, attributes) =>
    gradient(inputs, attributes),
  );
}

/** [y `[N, H·E]`, logSumExp `[N, H]`] */
export function forward(
  inputs: Inputs<'PeftDisentangledAttention'>,
  attributes: DisentangledAttributes,
  budget?: number,
): Tensor[] {
  const batch = tiled(inputs, attributes, budget);
  const parts = batch.parts.map(({ group, tiles }) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const rows = tiles.map((tile) =>
        tf.tidy(() => {
          const [e, total, logSumExp] = scoreExponentials(batch.scoresOf(tile, q, k));
          return [tf.div(tf.matMul(batch.withDropout(tile, e), v), total), logSumExp];
        }),
      );
      return [0, 1].map((i) =>
        rowsOf(
          together(
            rows.map((row) => row[i]!),
            2,
          ),
        ),
      );
    }),
  );
  return [0, 1].map((i) =>
    fromGrouped(
      parts.map((part) => part[i]!),
      batch.queries,
    ),
  );
}

/** [dq, dk, dv, dpositionKeys, dpositionQueries], `[0]` where not needed. */
export function gradient(
  inputs: Inputs<'PeftDisentangledAttentionGradient'>,
  attributes: GradientAttributes,
  budget?: number,
): Tensor[] {
  const batch = tiled(inputs, attributes, budget);
  const { heads, scale, needPositionKeys, needPositionQueries } = attributes;
  const dyRows = toGrouped(inputs.dy!, batch.queries);
  const delta = toGrouped(
    tf.sum(tf.reshape(tf.mul(inputs.dy!, inputs.y!), [inputs.dy!.shape[0], heads, -1]), 2),
    batch.queries,
  );
  const logSumExp = toGrouped(inputs.logSumExp!, batch.queries, NO_ROW);
  const parts = batch.parts.map(({ group, tiles }) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const [dyHeads, deltas, sums] = [dyRows, delta, logSumExp].map((x) =>
        queryHeads(x, group, heads),
      ) as [Tensor, Tensor, Tensor];
      const rows = tiles.map((tile) =>
        tf.tidy(() => {
          const probabilities = scoreProbabilities(
            batch.scoresOf(tile, q, k),
            rowsOfTile(sums, tile),
          );
          const [qTile, dyTile] = [rowsOfTile(q, tile), rowsOfTile(dyHeads, tile)];
          const dProbabilities = batch.withDropout(tile, tf.matMul(dyTile, v, false, true));
          const dScores = tf.mul(
            scoreGradient(probabilities, dProbabilities, rowsOfTile(deltas, tile)),
            scale,
          ); // of the unscaled sum
          const keySide = batch.keySideGradient(tile, dScores, qTile, needPositionKeys);
          const querySide = batch.querySideGradient(tile, dScores, k, needPositionQueries);
          return [
            plus(tf.matMul(dScores, k), keySide?.content),
            plus(tf.matMul(dScores, qTile, true, false), querySide?.content),
            tf.matMul(batch.withDropout(tile, probabilities), dyTile, true, false),
            keySide?.table ?? nothing(),
            querySide?.table ?? nothing(),
          ];
        }),
      );
      const sum = (i: number) =>
        rows.length === 1 ? rows[0]![i]! : tf.addN(rows.map((row) => row[i]!));
      return [
        rowsOf(
          together(
            rows.map((row) => row[0]!),
            2,
          ),
        ),
        rowsOf(sum(1)),
        rowsOf(sum(2)),
        sum(3),
        sum(4),
      ];
    }),
  );
  const [dq, dk, dv] = [0, 1, 2].map((i) =>
    fromGrouped(
      parts.map((part) => part[i]!),
      batch.queries,
    ),
  ) as [Tensor, Tensor, Tensor];
  return [
    dq,
    dk,
    dv,
    ...[3, 4].map((i) =>
      parts.length === 1 ? parts[0]![i]! : tf.addN(parts.map((part) => part[i]!)),
    ),
  ];
}

function tiled(
  inputs: Inputs<'PeftDisentangledAttention'>,
  attributes: DisentangledAttributes,
  budget: number | undefined,
) {
  const {
    offsets,
    heads,
    scale,
    dropout,
    contentToPositionIndex,
    positionToContentIndex,
    relativeOrigin,
  } = attributes;
  const batch = tileBatch(offsets, offsets, true, heads, 0, budget);
  const [q, k, v] = [inputs.q!, inputs.k!, inputs.v!].map((x) => toGrouped(x, batch.queries)) as [
    Tensor2D,
    Tensor2D,
    Tensor2D,
  ];
  const longest = Math.max(...Array.from(offsets.subarray(1), (end, b) => end - offsets[b]!));
  const { positionKeys, positionQueries } = inputs;
  /** Row of the table for distances from `first` on, `step` apart. */
  const tableRows = (index: Int32Array, first: number, step: number, count: number) =>
    Int32Array.from(
      { length: count },
      (_, m) => index[Math.min(Math.max(first + step * m + relativeOrigin, 0), index.length - 1)]!,
    );
  /** Column m of a tile's queries: distance query − key = first + tq − 1 − m. */
  const keyRows = ({ group, first, count }: Tile) =>
    tableRows(contentToPositionIndex, first + count - 1, -1, count + group.keyLength - 1);
  /** Column m of the keys of a block: distance query − key = first − start − (tk − 1) + m. */
  const queryRows = ({ first, count }: Tile, { start, length }: KeyBlock) =>
    tableRows(positionToContentIndex, first - start - length + 1, 1, count + length - 1);
  /** `[1, H, M, E]` */
  const headsOfTable = (table: Tensor, rows: Int32Array) =>
    tf.expandDims(
      tf.transpose(
        tf.reshape(tf.gather(table, tf.tensor1d(rows, 'int32')), [rows.length, heads, -1]),
        [1, 0, 2],
      ),
      0,
    );
  /** What a table gains: dR `[G, H, rows, M]`, content `[G, H, rows, E]`. */
  const tableGradient = (dR: Tensor, content: Tensor, table: Tensor, rows: Int32Array) => {
    const byHead = tf.sum(tf.matMul(dR, content, true, false), 0); // [H, M, E]
    return tf.unsortedSegmentSum(
      tf.reshape(tf.transpose(byHead, [1, 0, 2]), [rows.length, -1]),
      tf.tensor1d(rows, 'int32'),
      table.shape[0],
    );
  };
  return {
    ...batch,
    /** Each `[G, H, T, E]`. */
    tensorsOf: (group: SequenceGroup) => ({
      q: queryHeads(q, group, heads),
      k: queryHeads(k, group, heads),
      v: queryHeads(v, group, heads),
    }),
    withDropout: (tile: Tile, x: Tensor) =>
      dropout
        ? tf.mul(x, tileDropout(tile, dropout, heads, tile.group.keyLength, longest, offsets))
        : x,
    /** `[G, H, tq, T]` */
    scoresOf: (tile: Tile, queries: Tensor, keys: Tensor): Tensor => {
      const { count } = tile;
      const rows = rowsOfTile(queries, tile);
      const products = tf.matMul(rows, keys, false, true);
      const keyTerms =
        positionKeys && tf.matMul(rows, headsOfTable(positionKeys, keyRows(tile)), false, true);
      const blocks = keyBlocks(tile).map((block) => {
        const queryTerms =
          positionQueries &&
          tf.matMul(
            block.of(keys),
            headsOfTable(positionQueries, queryRows(tile, block)),
            false,
            true,
          );
        return distanceScores(
          block.columnsOf(products),
          keyTerms && block.columnsOf(keyTerms, count - 1),
          queryTerms,
          scale,
        );
      });
      const scores = together(blocks, 3);
      const mask = lengthMask(tile.group, 0);
      return mask ? tf.add(scores, mask) : scores;
    },
    keySideGradient: (tile: Tile, dScores: Tensor, rows: Tensor, needTable: boolean) => {
      if (!positionKeys) return undefined;
      const index = keyRows(tile);
      const dR = keyTermGradient(dScores);
      return {
        content: tf.matMul(dR, headsOfTable(positionKeys, index)),
        table: needTable ? tableGradient(dR, rows, positionKeys, index) : undefined,
      };
    },
    querySideGradient: (tile: Tile, dScores: Tensor, keys: Tensor, needTable: boolean) => {
      if (!positionQueries) return undefined;
      const parts = keyBlocks(tile).map((block) => {
        const index = queryRows(tile, block);
        const dR = queryTermGradient(block.columnsOf(dScores)); // [G, H, tk, M]
        return {
          content: tf.matMul(dR, headsOfTable(positionQueries, index)),
          table: needTable ? tableGradient(dR, block.of(keys), positionQueries, index) : undefined,
        };
      });
      return {
        content: together(
          parts.map(({ content }) => content),
          2,
        ),
        table: needTable ? tf.addN(parts.map(({ table }) => table!)) : undefined,
      };
    },
  };
}

interface KeyBlock {
  readonly start: number;
  readonly length: number;
  /** Its keys of `[G, H, T, E]`. */
  of(keys: Tensor): Tensor;
  /** Its columns of `[G, H, tq, T]`, and so many more of something wider. */
  columnsOf(scores: Tensor, more?: number): Tensor;
}

/**
 * All keys at once where the tile has all queries, else blocks as long as the tile, so that a
 * block's products stay as large as the tile's.
 */
function keyBlocks({ group: { keyLength }, count }: Tile): KeyBlock[] {
  return Array.from({ length: Math.ceil(keyLength / count) }, (_, n) => {
    const [start, length] = [n * count, Math.min(count, keyLength - n * count)];
    const isAll = length === keyLength;
    return {
      start,
      length,
      of: (keys) => (isAll ? keys : tf.slice(keys, [0, 0, start, 0], [-1, -1, length, -1])),
      columnsOf: (scores, more = 0) =>
        isAll ? scores : tf.slice(scores, [0, 0, 0, start], [-1, -1, -1, length + more]),
    };
  });
}

const plus = (x: Tensor, y: Tensor | undefined): Tensor => (y ? tf.add(x, y) : x);
