/**
 * Disentangled attention and its gradient in plain tfjs ops, a group of similarly long sequences at
 * a time.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  addMasks,
  applyFactors,
  headSums,
  lengthMask,
  NO_ROW,
  probabilityFactors,
  rowsOfHeads,
} from './attention-reference.js';
import type { DisentangledAttributes } from '../tape/kernels.js';
import { longestSequence } from '../positions/offsets.js';
import { positionTerm } from './position-term.js';
import { probabilitiesUnder, rowSoftmax } from './row-softmax.js';
import { batchedProduct } from '../products/product.js';
import {
  fromGroupedOrder,
  groupSequences,
  joinHeads,
  splitHeads,
  toGroupedOrder,
  type SequenceGroup,
} from './sequence-groups.js';

type Tensors = Partial<Record<'q' | 'k' | 'v' | 'positionKeys' | 'positionQueries', Tensor>>;

/** [y `[N, H·E]`, logSumExp `[N, H]`] */
export function referenceDisentangled(
  inputs: Tensors,
  attributes: DisentangledAttributes,
): Tensor[] {
  const batch = groupedBatch(inputs, attributes);
  const parts = batch.groups.map((group) =>
    tf.tidy(() => {
      const scores = batch.scoresOf(group);
      const { probabilities, logSumExp } = rowSoftmax(scores);
      const dropped = applyFactors(probabilities, batch.dropoutOf(group));
      return [
        joinHeads(
          batchedProduct(dropped as Tensor3D, batch.split(batch.v, group)),
          attributes.heads,
        ),
        rowsOfHeads(logSumExp, attributes.heads),
      ];
    }),
  );
  return [0, 1].map((i) =>
    fromGroupedOrder(
      parts.map((part) => part[i]!),
      batch.rows,
    ),
  );
}

/** [dq, dk, dv, dpositionKeys, dpositionQueries], `[0]` where not needed. */
export function referenceDisentangledGradient(
  inputs: Tensors & { y: Tensor; logSumExp: Tensor; dy: Tensor },
  attributes: DisentangledAttributes & { needPositionKeys: boolean; needPositionQueries: boolean },
): Tensor[] {
  const batch = groupedBatch(inputs, attributes);
  const { heads, scale } = attributes;
  const { keySide, querySide, split } = batch;
  const dy = toGroupedOrder(inputs.dy as Tensor2D, batch.rows);
  const delta = toGroupedOrder(headSums(tf.mul(inputs.dy, inputs.y), heads), batch.rows); // [N, H]
  const logSumExp = toGroupedOrder(inputs.logSumExp as Tensor2D, batch.rows, NO_ROW);
  const parts = batch.groups.map((group) => {
    const factors = batch.dropoutOf(group);
    const part = tf.tidy(() => {
      const probabilities = probabilitiesUnder(batch.scoresOf(group), split(logSumExp, group));
      const dyHeads = split(dy, group);
      const dProbabilities = applyFactors(
        batchedProduct(dyHeads, split(batch.v, group), false, true),
        factors,
      );
      const dScores = tf.mul(
        tf.mul(probabilities, tf.sub(dProbabilities, split(delta, group))),
        scale,
      ) as Tensor3D; // of the unscaled sum
      return {
        dq: joinHeads(batchedProduct(dScores, split(batch.k, group)), heads),
        dk: joinHeads(batchedProduct(dScores, split(batch.q, group), true, false), heads),
        dv: joinHeads(
          batchedProduct(applyFactors(probabilities, factors) as Tensor3D, dyHeads, true, false),
          heads,
        ),
        keyProducts: keySide?.productGradient(group, dScores),
        queryProducts: querySide?.productGradient(group, tf.transpose(dScores, [0, 2, 1])),
      };
    });
    factors?.dispose();
    return part;
  });
  const ofKeys = parts.map((part) => part.keyProducts!);
  const ofQueries = parts.map((part) => part.queryProducts!);
  const together = (tensors: Tensor2D[]) =>
    tensors.length === 1 ? tensors[0]! : tf.concat(tensors, 0);
  const plus = (x: Tensor2D, y: Tensor2D | undefined) => (y ? (tf.add(x, y) as Tensor2D) : x);
  return [
    fromGroupedOrder(
      [plus(together(parts.map(({ dq }) => dq)), keySide?.contentGradient(ofKeys))],
      batch.rows,
    ),
    fromGroupedOrder(
      [plus(together(parts.map(({ dk }) => dk)), querySide?.contentGradient(ofQueries))],
      batch.rows,
    ),
    fromGroupedOrder(
      parts.map(({ dv }) => dv),
      batch.rows,
    ),
    attributes.needPositionKeys && keySide ? keySide.tableGradient(ofKeys) : tf.zeros([0]),
    attributes.needPositionQueries && querySide
      ? querySide.tableGradient(ofQueries)
      : tf.zeros([0]),
  ];
}

function groupedBatch(inputs: Tensors, attributes: DisentangledAttributes) {
  const { offsets, heads, scale, dropout } = attributes;
  const { groups, queries: rows } = groupSequences(offsets, offsets, true);
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((x) =>
    toGroupedOrder(x as Tensor2D, rows),
  ) as [Tensor2D, Tensor2D, Tensor2D];
  const longest = longestSequence(offsets);
  const split = (x: Tensor2D, { queryStart, queryLength, sequences }: SequenceGroup) =>
    splitHeads(x, queryStart, sequences.length, queryLength, heads);
  const keySide =
    inputs.positionKeys &&
    positionTerm(q, inputs.positionKeys as Tensor2D, keyTableRows(longest, attributes), heads);
  const querySide =
    inputs.positionQueries &&
    positionTerm(k, inputs.positionQueries as Tensor2D, queryTableRows(longest, attributes), heads);
  return {
    groups,
    rows,
    q,
    k,
    v,
    split,
    keySide,
    querySide,
    /** `[G·H, T, T]` */
    scoresOf: (group: SequenceGroup): Tensor3D => {
      let sum: Tensor = batchedProduct(split(q, group), split(k, group), false, true);
      if (keySide) sum = tf.add(sum, keySide.of(group));
      if (querySide) sum = tf.add(sum, tf.transpose(querySide.of(group), [0, 2, 1]));
      const mask = lengthMask(group, 0);
      return addMasks(tf.mul(sum, scale), mask ? [mask] : [], heads);
    },
    dropoutOf: (group: SequenceGroup) =>
      dropout && probabilityFactors(group, dropout, heads, group.keyLength, longest, offsets),
  };
}

/**
 * For distances longest − 1, …, −(longest − 1): column m of query row i is key j = i + m − (longest
 * − 1).
 */
const keyTableRows = (
  longest: number,
  { contentToPositionIndex, relativeOrigin }: DisentangledAttributes,
): Int32Array =>
  Int32Array.from({ length: 2 * longest - 1 }, (_, m) =>
    clipped(contentToPositionIndex, longest - 1 - m + relativeOrigin),
  );

/**
 * For distances −(longest − 1), …, longest − 1: column m of key row j is query i = j + m − (longest
 * − 1).
 */
const queryTableRows = (
  longest: number,
  { positionToContentIndex, relativeOrigin }: DisentangledAttributes,
): Int32Array =>
  Int32Array.from({ length: 2 * longest - 1 }, (_, m) =>
    clipped(positionToContentIndex, m - (longest - 1) + relativeOrigin),
  );

const clipped = (index: Int32Array, at: number): number =>
  index[Math.min(Math.max(at, 0), index.length - 1)]!;
