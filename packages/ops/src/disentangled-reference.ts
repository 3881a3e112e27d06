/**
 * Disentangled attention and its gradient in plain tfjs ops, a group of equally long sequences at a time.
 *
 * A position term multiplies content rows with the table's rows for the distances that occur, R `[T, 2T−1]`, and shifts row i by i:
 * term(i, j) = R[i, j − i + T − 1]. Shifting is a change of shape: padded by one column and read from element T − 1 in rows of 2T − 1.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { applyFactors, headSums, probabilityFactors, rowLogSumExp, rowsOfHeads } from './attention-reference.js';
import { copyRows } from './copy-rows.js';
import { scatterAddRows } from './gather-rows.js';
import type { DisentangledAttributes } from './kernels.js';
import { longestSequence } from './offsets.js';
import { fromGroupedOrder, groupSequences, joinHeads, splitHeads, toGroupedOrder, type SequenceGroup } from './sequence-groups.js';

type Tensors = Partial<Record<'q' | 'k' | 'v' | 'positionKeys' | 'positionQueries', Tensor>>;

/** [y `[N, H·E]`, logSumExp `[N, H]`] */
export function referenceDisentangled(inputs: Tensors, attributes: DisentangledAttributes): Tensor[] {
  const batch = groupedInputs(inputs, attributes);
  const parts = batch.groups.map((group) => tf.tidy(() => {
    const part = batch.tensorsOf(group);
    const scores = scoresOf(part, attributes);
    const logSumExp = rowLogSumExp(scores);
    const probabilities = applyFactors(tf.exp(tf.sub(scores, tf.expandDims(logSumExp, 2))), batch.dropoutOf(group));
    return [joinHeads(tf.matMul(probabilities as Tensor3D, part.v), attributes.heads), rowsOfHeads(logSumExp, attributes.heads)];
  }));
  return [0, 1].map((i) => fromGroupedOrder(parts.map((part) => part[i]!), batch.rows));
}

/** [dq, dk, dv, dpositionKeys, dpositionQueries], `[0]` where not needed. */
export function referenceDisentangledGradient(
  inputs: Tensors & { y: Tensor; logSumExp: Tensor; dy: Tensor },
  attributes: DisentangledAttributes & { needPositionKeys: boolean; needPositionQueries: boolean },
): Tensor[] {
  const batch = groupedInputs(inputs, attributes);
  const { heads, scale } = attributes;
  const dy = toGroupedOrder(inputs.dy as Tensor2D, batch.rows);
  const delta = toGroupedOrder(headSums(tf.mul(inputs.dy, inputs.y), heads), batch.rows); // [N, H]
  const logSumExp = toGroupedOrder(inputs.logSumExp as Tensor2D, batch.rows);
  const parts = batch.groups.map((group) => tf.tidy(() => {
    const part = batch.tensorsOf(group);
    const split = (x: Tensor2D) => splitHeads(x, group.queryStart, group.sequences.length, group.queryLength, heads);
    const probabilities = tf.exp(tf.sub(scoresOf(part, attributes), split(logSumExp)));
    const factors = batch.dropoutOf(group);
    const dyHeads = split(dy);
    const dv = tf.matMul(applyFactors(probabilities, factors) as Tensor3D, dyHeads, true, false);
    const dProbabilities = applyFactors(tf.matMul(dyHeads, part.v, false, true), factors);
    const dScores = tf.mul(tf.mul(probabilities, tf.sub(dProbabilities, split(delta))), scale) as Tensor3D; // with respect to the unscaled sum
    const keySide = part.positionKeys && positionGradient(dScores, part.q, part.positionKeys, heads, attributes.needPositionKeys);
    const querySide = part.positionQueries && positionGradient(tf.transpose(dScores, [0, 2, 1]), part.k, part.positionQueries, heads, attributes.needPositionQueries);
    const plus = (x: Tensor, y: Tensor | undefined) => (y ? tf.add(x, y) : x) as Tensor3D;
    return {
      dq: joinHeads(plus(tf.matMul(dScores, part.k), keySide?.content), heads),
      dk: joinHeads(plus(tf.matMul(dScores, part.q, true, false), querySide?.content), heads),
      dv: joinHeads(dv as Tensor3D, heads),
      keyRows: keySide?.rows,
      queryRows: querySide?.rows,
    };
  }));
  // Distances of a group run from T − 1 down to −(T − 1) in the key table, upwards in the query table.
  const tableGradient = (needed: boolean, table: Tensor | undefined, rows: (Tensor2D | undefined)[], index: (length: number) => Int32Array) => {
    if (!needed || !table) return tf.zeros([0]);
    const indices = batch.groups.flatMap(({ queryLength }) => Array.from(index(queryLength)));
    return scatterAddRows(rows.length === 1 ? rows[0]! : tf.concat(rows as Tensor2D[], 0), Int32Array.from(indices), table.shape[0]!);
  };
  return [
    fromGroupedOrder(parts.map(({ dq }) => dq), batch.rows),
    fromGroupedOrder(parts.map(({ dk }) => dk), batch.rows),
    fromGroupedOrder(parts.map(({ dv }) => dv), batch.rows),
    tableGradient(attributes.needPositionKeys, inputs.positionKeys, parts.map((part) => part.keyRows), (length) => keyTableRows(length, attributes)),
    tableGradient(attributes.needPositionQueries, inputs.positionQueries, parts.map((part) => part.queryRows), (length) => queryTableRows(length, attributes)),
  ];
}

interface GroupTensors { q: Tensor3D; k: Tensor3D; v: Tensor3D; positionKeys?: Tensor3D; positionQueries?: Tensor3D }

function groupedInputs(inputs: Tensors, attributes: DisentangledAttributes) {
  const { offsets, heads, dropout } = attributes;
  const { groups, queryRows: rows } = groupSequences(offsets, offsets);
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((x) => toGroupedOrder(x as Tensor2D, rows)) as [Tensor2D, Tensor2D, Tensor2D];
  const longest = longestSequence(offsets);
  const tableRows = (table: Tensor | undefined, index: Int32Array) => table && splitHeads(copyRows(table as Tensor2D, index), 0, 1, index.length, heads); // [H, 2T−1, E]
  return {
    groups, rows,
    tensorsOf: ({ queryStart, queryLength, sequences }: SequenceGroup): GroupTensors => {
      const split = (x: Tensor2D) => splitHeads(x, queryStart, sequences.length, queryLength, heads);
      return {
        q: split(q), k: split(k), v: split(v),
        positionKeys: tableRows(inputs.positionKeys, keyTableRows(queryLength, attributes)),
        positionQueries: tableRows(inputs.positionQueries, queryTableRows(queryLength, attributes)),
      };
    },
    dropoutOf: (group: SequenceGroup) => dropout && probabilityFactors(group, dropout, heads, group.keyLength, longest, offsets),
  };
}

/** Scores `[G·H, T, T]`. */
function scoresOf({ q, k, positionKeys, positionQueries }: GroupTensors, { scale }: DisentangledAttributes): Tensor3D {
  let sum: Tensor = tf.matMul(q, k, false, true);
  if (positionKeys) sum = tf.add(sum, shift(positionProducts(q, positionKeys)));
  if (positionQueries) sum = tf.add(sum, tf.transpose(shift(positionProducts(k, positionQueries)), [0, 2, 1]));
  return tf.mul(sum, scale);
}

/** Rows of the key table for distances T − 1, …, −(T − 1): column m of R[i, m] is key j = i + m − (T − 1). */
const keyTableRows = (length: number, { contentToPositionIndex, relativeOrigin }: DisentangledAttributes): Int32Array =>
  Int32Array.from({ length: 2 * length - 1 }, (_, m) => clipped(contentToPositionIndex, length - 1 - m + relativeOrigin));

/** Rows of the query table for distances −(T − 1), …, T − 1: column m of R[j, m] is query i = j + m − (T − 1). */
const queryTableRows = (length: number, { positionToContentIndex, relativeOrigin }: DisentangledAttributes): Int32Array =>
  Int32Array.from({ length: 2 * length - 1 }, (_, m) => clipped(positionToContentIndex, m - (length - 1) + relativeOrigin));

const clipped = (index: Int32Array, at: number): number => index[Math.min(Math.max(at, 0), index.length - 1)]!;

/** Heads in front, the rows of all sequences together: `[G·H, T, X]` → `[H, G·T, X]`. */
function headsFirst(x: Tensor3D, heads: number): Tensor3D {
  const [batch, rows, width] = x.shape;
  if (batch === heads) return x;
  return tf.reshape(tf.transpose(tf.reshape(x, [batch / heads, heads, rows, width]), [1, 0, 2, 3]), [heads, -1, width]);
}

/** The inverse of {@link headsFirst}: `[H, G·T, X]` → `[G·H, T, X]`. */
function sequencesFirst(x: Tensor3D, rows: number): Tensor3D {
  const [heads, all, width] = x.shape;
  if (all === rows) return x;
  return tf.reshape(tf.transpose(tf.reshape(x, [heads, all / rows, rows, width]), [1, 0, 2, 3]), [-1, rows, width]);
}

/** content `[G·H, T, E]` times the table's rows `[H, 2T−1, E]`: `[G·H, T, 2T−1]`. */
function positionProducts(content: Tensor3D, table: Tensor3D): Tensor3D {
  return sequencesFirst(tf.matMul(headsFirst(content, table.shape[0]), table, false, true), content.shape[1]);
}

/** R `[B, T, 2T−1]` → `[B, T, T]`: out[i, j] = R[i, j − i + T − 1]. */
function shift(r: Tensor3D): Tensor3D {
  const [batch, length, width] = r.shape;
  const flat = tf.reshape(tf.pad(r, [[0, 0], [0, 0], [0, 1]]), [batch, length * (width + 1)]);
  const rows = tf.reshape(tf.slice(flat, [0, length - 1], [batch, length * width]), [batch, length, width]);
  return tf.slice(rows, [0, 0, 0], [batch, length, length]) as Tensor3D;
}

/** The transpose of {@link shift}: `[B, T, T]` → `[B, T, 2T−1]`. */
function unshift(d: Tensor3D): Tensor3D {
  const [batch, length] = d.shape;
  const width = 2 * length - 1;
  const flat = tf.reshape(tf.pad(d, [[0, 0], [0, 0], [0, length - 1]]), [batch, length * width]);
  const rows = tf.reshape(tf.pad(flat, [[0, 0], [length - 1, 1]]), [batch, length, width + 1]);
  return tf.slice(rows, [0, 0, 0], [batch, length, width]) as Tensor3D;
}

/** Gradients of a position term: of its content `[G·H, T, E]`, and of the table's rows `[2T−1, H·E]` if asked for. */
function positionGradient(dScores: Tensor3D, content: Tensor3D, table: Tensor3D, heads: number, needRows: boolean): { content: Tensor; rows: Tensor2D | undefined } {
  const dProducts = headsFirst(unshift(dScores), heads); // [H, G·T, 2T−1]
  return {
    content: sequencesFirst(tf.matMul(dProducts, table), content.shape[1]),
    rows: needRows ? joinHeads(tf.matMul(dProducts, headsFirst(content, heads), true, false), heads) : undefined,
  };
}
