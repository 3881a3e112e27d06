/**
 * Attention and its gradient in tiles. For each tile, with e = exp(score − max): y = (e·v)/Σe and
 * logΣexp = max + log Σe; in the gradient p = exp(score − logΣexp) is computed again. Scores, masks
 * and sums stay on the device.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { joinHeads, splitHeads, type AttentionAttributes, type SequenceGroup } from '@peft/ops';
import { nothing, register, type Inputs } from './register.js';
import { scoreExponentials, scoreGradient, scoreProbabilities } from './scores.js';
import {
  fromGrouped,
  HIDDEN,
  lengthMask,
  NO_ROW,
  skew,
  tileBatch,
  tileDropout,
  toGrouped,
  unskew,
  type Tile,
  type TiledBatch,
} from './tiles.js';

export function registerAttention(): void {
  register('PeftAttention', (inputs, attributes) => forward(inputs, attributes));
  register('PeftAttentionGradient', (inputs, attributes) => gradient(inputs, attributes));
}

/** [y `[Nq, H·E]`, logSumExp `[Nq, H]`] */
export function forward(
  inputs: Inputs<'PeftAttention'>,
  attributes: AttentionAttributes,
  budget?: number,
): Tensor[] {
  const batch = tiled(inputs, attributes, budget);
  const parts = batch.parts.map(({ group, tiles }) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const rows = tiles.map((tile) =>
        tf.tidy(() => {
          // the sums [G, H, tq, 1]
          const [e, total, logSumExp] = scoreExponentials(batch.scoresOf(tile, q, k).scores);
          const sums = unfold(
            tf.matMul(fold(withDropout(e, batch.dropoutOf(tile)), attributes), v),
            attributes,
          );
          return [tf.div(sums, total), logSumExp];
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

/**
 * [dq, dk, dv, dbias, dextraKeys, dextraValues], `[0]` where the input is absent or, for the bias,
 * not asked for.
 */
export function gradient(
  inputs: Inputs<'PeftAttentionGradient'>,
  attributes: AttentionAttributes & { needBias: boolean },
  budget?: number,
): Tensor[] {
  const batch = tiled(inputs, attributes, budget);
  const { heads, keyValueHeads, scale, softCap, extra } = attributes;
  const dyRows = toGrouped(inputs.dy!, batch.queries);
  const delta = toGrouped(
    tf.sum(tf.reshape(tf.mul(inputs.dy!, inputs.y!), [inputs.dy!.shape[0], heads, -1]), 2),
    batch.queries,
  ); // δ [Nq, H]
  const logSumExp = toGrouped(inputs.logSumExp!, batch.queries, NO_ROW);
  const withBias = attributes.needBias && inputs.bias !== undefined;
  const parts = batch.parts.map(({ group, tiles }) =>
    tf.tidy(() => {
      const { q, k, v } = batch.tensorsOf(group);
      const [dyHeads, deltas, sums] = [dyRows, delta, logSumExp].map((x) =>
        queryHeads(x, group, heads),
      ) as [Tensor, Tensor, Tensor]; // [G, H, Tq, ·]
      const rows = tiles.map((tile) =>
        tf.tidy(() => {
          const { scores, capped } = batch.scoresOf(tile, q, k);
          const probabilities = scoreProbabilities(scores, rowsOfTile(sums, tile));
          const factors = batch.dropoutOf(tile);
          const dyTile = fold(rowsOfTile(dyHeads, tile), attributes);
          const dv = tf.matMul(
            fold(withDropout(probabilities, factors), attributes),
            dyTile,
            true,
            false,
          );
          const dProbabilities = withDropout(
            unfold(tf.matMul(dyTile, v, false, true), attributes),
            factors,
          );
          const dScores = scoreGradient(probabilities, dProbabilities, rowsOfTile(deltas, tile));
          const dProducts = fold(
            capped ? tf.mul(dScores, tf.sub(1, tf.square(tf.div(capped, softCap)))) : dScores,
            attributes,
          );
          const dq = tf.mul(unfold(tf.matMul(dProducts, k), attributes), scale);
          // q holds the scale
          const dk = tf.matMul(dProducts, fold(rowsOfTile(q, tile), attributes), true, false);
          return [dq, dk, dv, ...(withBias ? [batch.biasGradient(tile, dScores)] : [])];
        }),
      );
      const sum = (i: number) =>
        rows.length === 1 ? rows[0]![i]! : tf.addN(rows.map((row) => row[i]!));
      const keySide = (x: Tensor): Tensor[] => {
        const own = joinHeads(tf.slice(x, [0, extra, 0]) as Tensor3D, keyValueHeads);
        if (extra === 0) return [own];
        const front = tf.reshape(tf.slice(x, [0, 0, 0], [-1, extra, -1]), [
          -1,
          keyValueHeads,
          extra,
          x.shape[2]!,
        ]);
        return [own, joinHeads(tf.sum(front, 0) as Tensor3D, keyValueHeads)];
      };
      return {
        dq: rowsOf(
          together(
            rows.map((row) => row[0]!),
            2,
          ),
        ),
        dk: keySide(sum(1)),
        dv: keySide(sum(2)),
        dbias: withBias ? [sum(3)] : [],
      } as never; // `tidy` hands any object of tensors on, and its type knows fewer
    }),
  ) as unknown as { dq: Tensor; dk: Tensor[]; dv: Tensor[]; dbias: Tensor[] }[];
  const added = (tensors: Tensor[]) => (tensors.length === 0 ? nothing() : tf.addN(tensors));
  const extras = (name: 'dk' | 'dv') =>
    added(extra === 0 ? [] : parts.map((part) => part[name][1]!));
  return [
    fromGrouped(
      parts.map(({ dq }) => dq),
      batch.queries,
    ),
    fromGrouped(
      parts.map(({ dk }) => dk[0]!),
      batch.keys,
    ),
    fromGrouped(
      parts.map(({ dv }) => dv[0]!),
      batch.keys,
    ),
    added(parts.flatMap(({ dbias }) => dbias)),
    extras('dk'),
    extras('dv'),
  ];
}

function tiled(
  inputs: Inputs<'PeftAttention'>,
  attributes: AttentionAttributes,
  budget: number | undefined,
) {
  const {
    queryOffsets,
    keyOffsets,
    heads,
    keyValueHeads,
    scale,
    extra,
    dropout,
    causal,
    window,
    softCap,
  } = attributes;
  const batch: TiledBatch = tileBatch(
    queryOffsets,
    keyOffsets,
    causal || window > 0 || inputs.bias !== undefined,
    heads,
    extra,
    budget,
  );
  const [q, k, v] = [
    toGrouped(tf.mul(inputs.q!, scale), batch.queries),
    toGrouped(inputs.k!, batch.keys),
    toGrouped(inputs.v!, batch.keys),
  ];
  const stride =
    extra + Math.max(...Array.from(keyOffsets.subarray(1), (end, b) => end - keyOffsets[b]!));
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
    ...batch,
    /** q `[G, H, Tq, E]` times the scale, k and v `[G·Hkv, P+Tk, E]`. */
    tensorsOf: (group: SequenceGroup) => ({
      q: queryHeads(q, group, heads),
      k: withExtra(k, inputs.extraKeys, group),
      v: withExtra(v, inputs.extraValues, group),
    }),
    /** `[G, H, tq, P+Tk]`; `capped` holds them before mask and bias where a cap bends them. */
    scoresOf: (
      tile: Tile,
      queries: Tensor,
      keys: Tensor3D,
    ): { scores: Tensor; capped?: Tensor } => {
      const products = unfold(
        tf.matMul(fold(rowsOfTile(queries, tile), attributes), keys, false, true),
        attributes,
      );
      const capped = softCap > 0 ? tf.mul(tf.tanh(tf.div(products, softCap)), softCap) : undefined;
      const added = [
        positionMask(tile, attributes),
        lengthMask(tile.group, extra),
        inputs.bias && biasOf(tile, inputs.bias, attributes),
      ].filter((mask) => mask !== undefined);
      return {
        scores: added.reduce((sum: Tensor, mask) => tf.add(sum, mask), capped ?? products),
        capped,
      };
    },
    dropoutOf: (tile: Tile) =>
      dropout &&
      tileDropout(tile, dropout, heads, extra + tile.group.keyLength, stride, queryOffsets),
    /** `[H, S]` of a tile's dscores `[G, H, tq, P+Tk]`. */
    biasGradient: (tile: Tile, dScores: Tensor): Tensor => {
      const own = extra > 0 ? tf.slice(dScores, [0, 0, 0, extra]) : dScores;
      const byDistance = tf.sum(unskew(tf.sum(own, 0)), 1); // [H, M]
      return tf.transpose(
        tf.unsortedSegmentSum(
          tf.transpose(byDistance) as Tensor2D,
          tf.tensor1d(distanceColumns(tile, attributes), 'int32'),
          inputs.bias!.shape[1]!,
        ),
      );
    },
  };
}

/**
 * `[1, 1, tq, P+Tk]`: hides what the causal mask and the window leave out. Extra keys are always
 * seen.
 */
function positionMask(
  { group: { keyLength, offset }, first, count }: Tile,
  { causal, window, extra }: AttentionAttributes,
): Tensor | undefined {
  if (!causal && window === 0) return undefined;
  const distance = tf.sub(
    tf.range(0, keyLength),
    tf.reshape(tf.range(first + offset, first + offset + count), [count, 1]),
  ); // j − i
  const far = (bound: number) => tf.lessEqual(distance, bound);
  const hidden = causal
    ? [tf.greater(distance, 0), ...(window > 0 ? [far(-window)] : [])]
    : [tf.greater(tf.abs(distance), window / 2)];
  const mask = tf.mul(
    tf.cast(
      hidden.reduce((a, b) => tf.logicalOr(a, b)),
      'float32',
    ),
    HIDDEN,
  );
  return tf.reshape(
    extra > 0
      ? tf.pad(mask as Tensor2D, [
          [0, 0],
          [extra, 0],
        ])
      : mask,
    [1, 1, count, extra + keyLength],
  );
}

/** `[1, H, tq, P+Tk]` */
function biasOf(tile: Tile, values: Tensor, attributes: AttentionAttributes): Tensor {
  const {
    group: { keyLength },
    count,
  } = tile;
  const { heads, extra } = attributes;
  const byDistance = tf.expandDims(
    tf.gather(values, tf.tensor1d(distanceColumns(tile, attributes), 'int32'), 1),
    1,
  ); // [H, 1, M]
  const bias = skew(tf.tile(byDistance, [1, count, 1]), count, keyLength);
  return tf.reshape(
    extra > 0
      ? tf.pad(bias as Tensor3D, [
          [0, 0],
          [0, 0],
          [extra, 0],
        ])
      : bias,
    [1, heads, count, extra + keyLength],
  );
}

/**
 * The bias' column for each distance j − i that occurs in a tile, from the last query's to the
 * first's: `[tq + Tk − 1]`.
 */
function distanceColumns(
  { group: { keyLength, offset }, first, count }: Tile,
  { biasIndex, biasOrigin = 0 }: AttentionAttributes,
): Int32Array {
  const last = first + offset + count - 1;
  return Int32Array.from(
    { length: count + keyLength - 1 },
    (_, m) => biasIndex![Math.min(Math.max(m - last + biasOrigin, 0), biasIndex!.length - 1)]!,
  );
}

const withDropout = (x: Tensor, factors: Tensor | undefined): Tensor =>
  factors ? tf.mul(x, factors) : x;
export const together = (tensors: readonly Tensor[], axis: number): Tensor =>
  tensors.length === 1 ? tensors[0]! : tf.concat(tensors as Tensor[], axis);

/** Rows of a group as `[G, H, Tq, E]`. */
export const queryHeads = (
  x: Tensor2D,
  { queryStart, queryLength, sequences }: SequenceGroup,
  heads: number,
): Tensor =>
  tf.reshape(splitHeads(x, queryStart, sequences.length, queryLength, heads), [
    sequences.length,
    heads,
    queryLength,
    -1,
  ]);

/** The tile's queries of `[G, H, Tq, ·]`. */
export const rowsOfTile = (x: Tensor, { group, first, count }: Tile): Tensor =>
  count === group.queryLength ? x : tf.slice(x, [0, 0, first, 0], [-1, -1, count, -1]);

/** `[G, H, T, E]` as rows `[G·T, H·E]`. */
export const rowsOf = (x: Tensor): Tensor2D =>
  joinHeads(tf.reshape(x, [-1, x.shape[2]!, x.shape[3]!]) as Tensor3D, x.shape[1]!);

// Query head h = kv·rep + r. Folding moves r into the rows: [G, H, tq, X] and [G·Hkv, rep·tq, X]
// are the same memory.
const fold = (x: Tensor, { heads, keyValueHeads }: AttentionAttributes): Tensor3D => {
  const [groups, , rows, width] = x.shape as [number, number, number, number];
  return tf.reshape(x, [groups * keyValueHeads, (heads / keyValueHeads) * rows, width]);
};
const unfold = (x: Tensor, { heads, keyValueHeads }: AttentionAttributes): Tensor => {
  const [batch, rows, width] = x.shape as [number, number, number];
  return tf.reshape(x, [batch / keyValueHeads, heads, (rows * keyValueHeads) / heads, width]);
};
