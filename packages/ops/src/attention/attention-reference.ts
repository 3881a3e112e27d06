/**
 * Attention and its gradient in plain tfjs ops, a group of similarly long sequences at a time: the
 * meaning of `PeftAttention`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { dropoutFactors } from '../random/dropout.js';
import type { AttentionAttributes, DropoutAttributes } from '../tape/kernels.js';
import { longestSequence } from '../positions/offsets.js';
import { batchedProduct, product } from '../products/product.js';
import { probabilitiesUnder, rowSoftmax } from './row-softmax.js';
import {
  fromGroupedOrder,
  groupSequences,
  joinHeads,
  splitHeads,
  toGroupedOrder,
  type SequenceGroup,
} from './sequence-groups.js';

type AttentionTensors = Partial<
  Record<'q' | 'k' | 'v' | 'bias' | 'extraKeys' | 'extraValues', Tensor>
>;

/** Added to the score of a key that must not be seen: its probability is exactly 0. */
const HIDDEN = -1e30;

/**
 * logΣexp of a row that a group was filled up with: its probabilities are exactly 0 in the
 * gradient.
 */
export const NO_ROW = 1e30;

/** [y `[Nq, H·E]`, logSumExp `[Nq, H]`] */
export function referenceAttention(
  inputs: AttentionTensors,
  attributes: AttentionAttributes,
): Tensor[] {
  const batch = groupedInputs(inputs, attributes);
  const parts = batch.groups.map((group) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const { scores } = scoresOf(q, k, batch.masksOf(group), attributes);
      const { probabilities, logSumExp } = rowSoftmax(scores);
      const dropped = applyFactors(probabilities, batch.dropoutOf(group));
      return [
        joinQueries(batchedProduct(foldHeads(dropped, attributes), v), attributes),
        rowsOfHeads(logSumExp, attributes.heads),
      ];
    }),
  );
  return [0, 1].map((i) =>
    fromGroupedOrder(
      parts.map((part) => part[i]!),
      batch.queries,
    ),
  );
}

/**
 * [dq, dk, dv, dbias, dextraKeys, dextraValues], `[0]` where the input is absent or, for the bias,
 * not asked for.
 */
export function referenceAttentionGradient(
  inputs: AttentionTensors & { y: Tensor; logSumExp: Tensor; dy: Tensor },
  attributes: AttentionAttributes,
  needBias: boolean,
): Tensor[] {
  const batch = groupedInputs(inputs, attributes);
  const { heads, keyValueHeads, scale, softCap, extra } = attributes;
  const dy = toGroupedOrder(inputs.dy as Tensor2D, batch.queries);
  // δ [Nq, H]
  const delta = toGroupedOrder(headSums(tf.mul(inputs.dy, inputs.y), heads), batch.queries);
  const logSumExp = toGroupedOrder(inputs.logSumExp as Tensor2D, batch.queries, NO_ROW);
  const biasParts: Tensor2D[] = [];
  const parts = batch.groups.map((group) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const { scores, capped } = scoresOf(q, k, batch.masksOf(group), attributes);
      const perQuery = (x: Tensor2D) =>
        tf.reshape(
          splitHeads(x, group.queryStart, group.sequences.length, group.queryLength, heads),
          [-1, group.queryLength, 1],
        );
      const probabilities = probabilitiesUnder(scores, perQuery(logSumExp));
      const factors = batch.dropoutOf(group);
      const dyHeads = splitQueries(dy, group, attributes); // [G·Hkv, rep·Tq, E]
      const dv = batchedProduct(
        foldHeads(applyFactors(probabilities, factors), attributes),
        dyHeads,
        true,
        false,
      );
      const dProbabilities = applyFactors(
        unfoldHeads(batchedProduct(dyHeads, v, false, true), scores.shape),
        factors,
      );
      const dScores = tf.mul(probabilities, tf.sub(dProbabilities, perQuery(delta)));
      if (needBias && inputs.bias)
        biasParts.push(tf.keep(biasSums(dScores, inputs.bias.shape[1]!, group, attributes)));
      const dCapped = capped
        ? tf.mul(dScores, tf.sub(1, tf.square(tf.div(capped, softCap))))
        : dScores;
      const dProducts = foldHeads(tf.mul(dCapped, scale), attributes);
      const keysAndExtra = (x: Tensor3D) => {
        if (extra === 0) return [joinHeads(x, keyValueHeads), undefined] as const;
        const [front, own] = tf.split(x, [extra, group.keyLength], 1) as [Tensor3D, Tensor3D];
        const summed = tf.sum(
          tf.reshape(front, [-1, keyValueHeads, extra, front.shape[2]]),
          0,
        ) as Tensor3D; // [Hkv, P, E]
        return [joinHeads(own, keyValueHeads), joinHeads(summed, keyValueHeads)] as const;
      };
      const [dk, dExtraKeys] = keysAndExtra(batchedProduct(dProducts, q, true, false));
      const [dvOwn, dExtraValues] = keysAndExtra(dv);
      return {
        dq: joinQueries(batchedProduct(dProducts, k), attributes),
        dk,
        dv: dvOwn,
        dExtraKeys,
        dExtraValues,
      };
    }),
  );
  const sum = (tensors: (Tensor | undefined)[]) =>
    extra === 0 ? tf.zeros([0]) : tf.addN(tensors as Tensor[]);
  const dBias = biasParts.length > 0 ? tf.addN(biasParts) : tf.zeros([0]);
  tf.dispose(biasParts);
  return [
    fromGroupedOrder(
      parts.map((part) => part.dq),
      batch.queries,
    ),
    fromGroupedOrder(
      parts.map((part) => part.dk),
      batch.keys,
    ),
    fromGroupedOrder(
      parts.map((part) => part.dv),
      batch.keys,
    ),
    dBias,
    sum(parts.map((part) => part.dExtraKeys)),
    sum(parts.map((part) => part.dExtraValues)),
  ];
}

function groupedInputs(inputs: AttentionTensors, attributes: AttentionAttributes) {
  const { queryOffsets, keyOffsets, heads, keyValueHeads, extra, dropout, causal, window } =
    attributes;
  const { groups, queries, keys } = groupSequences(
    queryOffsets,
    keyOffsets,
    causal || window > 0 || inputs.bias !== undefined,
  );
  const q = toGroupedOrder(inputs.q as Tensor2D, queries);
  const k = toGroupedOrder(inputs.k as Tensor2D, keys);
  const v = toGroupedOrder(inputs.v as Tensor2D, keys);
  const columns = extra + longestSequence(keyOffsets);
  const withExtra = (
    own: Tensor2D,
    front: Tensor | undefined,
    { keyStart, keyLength, sequences }: SequenceGroup,
  ): Tensor3D => {
    const split = splitHeads(own, keyStart, sequences.length, keyLength, keyValueHeads);
    return front
      ? tf.concat(
          [
            tf.tile(splitHeads(front as Tensor2D, 0, 1, extra, keyValueHeads), [
              sequences.length,
              1,
              1,
            ]),
            split,
          ],
          1,
        )
      : split;
  };
  return {
    groups,
    queries,
    keys,
    /**
     * q `[G·Hkv, rep·Tq, E]` (the query heads of one key head are further rows of it), k and v
     * `[G·Hkv, P+Tk, E]`.
     */
    tensorsOf: (group: SequenceGroup) => ({
      q: splitQueries(q, group, attributes),
      k: withExtra(k, inputs.extraKeys, group),
      v: withExtra(v, inputs.extraValues, group),
    }),
    /**
     * What is added to the scores: by position `[1, H or 1, Tq, P+Tk]`, and by sequence `[G, 1, 1,
     * P+Tk]`.
     */
    masksOf: (group: SequenceGroup) =>
      [
        inputs.bias && biasMask(inputs.bias as Tensor2D, group, attributes),
        positionMask(group, attributes),
        lengthMask(group, extra),
      ].filter((mask) => mask !== undefined),
    dropoutOf: (group: SequenceGroup) =>
      dropout &&
      probabilityFactors(group, dropout, heads, extra + group.keyLength, columns, queryOffsets),
  };
}

/** Scores `[G·H, Tq, P+Tk]`; `capped` holds them before mask and bias where a cap bends them. */
function scoresOf(
  q: Tensor3D,
  k: Tensor3D,
  masks: readonly Tensor4D[],
  { heads, scale, softCap, keyValueHeads }: AttentionAttributes,
): { scores: Tensor3D; capped?: Tensor3D } {
  const folded = tf.mul(batchedProduct(q, k, false, true), scale);
  const products = tf.reshape(folded, [
    (folded.shape[0] / keyValueHeads) * heads,
    -1,
    folded.shape[2]!,
  ]) as Tensor3D;
  const capped =
    softCap > 0 ? (tf.mul(tf.tanh(tf.div(products, softCap)), softCap) as Tensor3D) : undefined;
  return { scores: addMasks(capped ?? products, masks, heads), capped };
}

/** Scores `[G·H, Tq, L]` with each mask, which broadcasts to `[G, H, Tq, L]`. */
export function addMasks(scores: Tensor3D, masks: readonly Tensor4D[], heads: number): Tensor3D {
  if (masks.length === 0) return scores;
  const perSequence: Tensor = tf.reshape(scores, [-1, heads, ...scores.shape.slice(1)]);
  return tf.reshape(
    masks.reduce((sum, mask) => tf.add(sum, mask), perSequence),
    scores.shape,
  );
}

/** Hides the keys that shorter sequences of the group do not have. */
export function lengthMask(
  { keyLength, keyLengths }: SequenceGroup,
  extra: number,
): Tensor4D | undefined {
  if (keyLengths.every((length) => length === keyLength)) return undefined;
  const columns = extra + keyLength;
  const mask = new Float32Array(keyLengths.length * columns);
  keyLengths.forEach((length, g) =>
    mask.fill(HIDDEN, g * columns + extra + length, (g + 1) * columns),
  );
  return tf.tensor4d(mask, [keyLengths.length, 1, 1, columns]);
}

/** Hides the keys that a query must not see. */
function positionMask(
  { queryLength, keyLength, offset }: SequenceGroup,
  { causal, window, extra }: AttentionAttributes,
): Tensor4D | undefined {
  if (!causal && window === 0) return undefined;
  const columns = extra + keyLength;
  const mask = new Float32Array(queryLength * columns);
  for (let row = 0; row < queryLength; row += 1)
    for (let j = 0; j < keyLength; j += 1)
      if (!isSeen(row + offset, j, causal, window)) mask[row * columns + extra + j] = HIDDEN;
  return tf.tensor4d(mask, [1, 1, queryLength, columns]);
}

/** bias[h, biasIndex[j − i + biasOrigin]] of each query and key `[1, H, Tq, P+Tk]`. */
function biasMask(
  bias: Tensor2D,
  { queryLength, keyLength, offset }: SequenceGroup,
  { extra, heads, biasIndex, biasOrigin = 0 }: AttentionAttributes,
): Tensor4D {
  const columns = Int32Array.from({ length: queryLength * keyLength }, (_, at) =>
    biasColumn((at % keyLength) - Math.floor(at / keyLength) - offset, biasIndex!, biasOrigin),
  );
  const picked = tf.gather(bias, tf.tensor1d(columns, 'int32'), 1);
  const table = tf.reshape(picked, [1, heads, queryLength, keyLength]) as Tensor4D;
  return extra === 0
    ? table
    : tf.concat([tf.zeros<tf.Rank.R4>([1, heads, queryLength, extra]), table], 3);
}

function isSeen(i: number, j: number, causal: boolean, window: number): boolean {
  if (causal) return j <= i && (window === 0 || j > i - window);
  return window === 0 || Math.abs(i - j) <= window / 2;
}

const biasColumn = (distance: number, index: Int32Array, origin: number): number =>
  index[Math.min(Math.max(distance + origin, 0), index.length - 1)]!;

/**
 * Σ dscore[g, h, i, j] over the pairs of each column of the bias, `[H, S]`; extra keys have none. The
 * rows are shifted so that equal distances stand below each other: first those are summed, then the
 * distances of a column.
 */
function biasSums(
  dScores: Tensor,
  width: number,
  { queryLength, keyLength, offset }: SequenceGroup,
  { heads, extra, biasIndex, biasOrigin = 0 }: AttentionAttributes,
): Tensor2D {
  const distances = queryLength + keyLength - 1;
  const own = tf.slice(
    tf.reshape(dScores, [-1, heads, queryLength, extra + keyLength]),
    [0, 0, 0, extra],
    [-1, -1, -1, keyLength],
  );
  // row by row from the last one: (row', j) at row'·(Tq + Tk) + j of lines that are one shorter
  const reversed = tf.reverse(tf.sum(own, 0), 1);
  const padded = tf.pad(reversed, [
    [0, 0],
    [0, 0],
    [0, queryLength],
  ]);
  const shifted = tf.reshape(
    tf.slice(tf.reshape(padded, [heads, -1]), [0, 0], [-1, queryLength * distances]),
    [heads, queryLength, distances],
  );
  const isColumn = new Float32Array(distances * width);
  for (let d = 0; d < distances; d += 1)
    isColumn[d * width + biasColumn(d - queryLength + 1 - offset, biasIndex!, biasOrigin)] = 1;
  return product(tf.sum(shifted, 1), tf.tensor2d(isColumn, [distances, width]));
}

/**
 * Dropout factors `[G·H, Tq, columns]`; query row n, head h and column c are number (n·H +
 * h)·stride + c of the stream.
 */
export function probabilityFactors(
  { sequences, queryLength }: SequenceGroup,
  { rate, key }: DropoutAttributes,
  heads: number,
  columns: number,
  stride: number,
  queryOffsets: Int32Array,
): Tensor3D {
  const factors = new Float32Array(sequences.length * heads * queryLength * columns);
  let at = 0;
  for (const b of sequences) {
    for (let h = 0; h < heads; h += 1) {
      for (let i = 0; i < queryLength; i += 1, at += columns) {
        if (queryOffsets[b]! + i < queryOffsets[b + 1]!)
          factors.set(
            dropoutFactors(columns, rate, key, ((queryOffsets[b]! + i) * heads + h) * stride),
            at,
          );
      }
    }
  }
  return tf.tensor3d(factors, [sequences.length * heads, queryLength, columns]);
}

export const applyFactors = (x: Tensor, factors: Tensor | undefined): Tensor =>
  factors ? tf.mul(x, factors) : x;

/** Σ over each head's columns: `[N, H·E]` → `[N, H]`. */
export const headSums = (x: Tensor, heads: number): Tensor2D =>
  tf.sum(tf.reshape(x, [x.shape[0], heads, -1]), 2);

/** `[G·H, T]` → `[G·T, H]` */
export const rowsOfHeads = (x: Tensor2D, heads: number): Tensor2D =>
  joinHeads(tf.expandDims(x, 2), heads);

// Query head h = kv·rep + r. Folding moves r into the rows: [G·H, Tq, X] and [G·Hkv, rep·Tq, X] are
// the same memory.
const foldHeads = (x: Tensor, { heads, keyValueHeads }: AttentionAttributes): Tensor3D => {
  const [batch, rows, width] = x.shape as [number, number, number];
  return tf.reshape(x, [(batch / heads) * keyValueHeads, (heads / keyValueHeads) * rows, width]);
};
const unfoldHeads = (x: Tensor, shape: readonly number[]): Tensor3D =>
  tf.reshape(x, shape as [number, number, number]);
const splitQueries = (
  q: Tensor2D,
  { queryStart, queryLength, sequences }: SequenceGroup,
  attributes: AttentionAttributes,
): Tensor3D =>
  foldHeads(splitHeads(q, queryStart, sequences.length, queryLength, attributes.heads), attributes);
const joinQueries = (x: Tensor, { heads, keyValueHeads }: AttentionAttributes): Tensor2D => {
  const [batch, rows, width] = x.shape as [number, number, number];
  return joinHeads(
    tf.reshape(x, [(batch / keyValueHeads) * heads, (rows * keyValueHeads) / heads, width]),
    heads,
  );
};
