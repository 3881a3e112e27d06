/**
 * What lives at the most while each kernel of this package runs: most are made of TensorFlow's
 * operations, whose results live until the kernel (for attention: a tile of it) is done. On CPUs
 * some are compiled, with nothing in between.
 *
 * S below is the number of scores of a tile, at most 2²⁴; N, D, M as in `disentangled-attention.ts`.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import type {
  AttentionAttributes,
  DisentangledAttributes,
  GroupedRows,
  KernelHolds,
  KernelName,
} from '@peft/ops';
import { tileBatch } from '../kernels/tiles.js';

type Inputs = Parameters<KernelHolds>[0];
/** Elements that live at the most while a kernel runs, its outputs included and its inputs not. */
type Held = (inputs: Inputs, attributes: Readonly<Record<string, unknown>>) => number;

const size = (tensor: TensorInfo | undefined): number =>
  tensor ? tensor.shape.reduce((product, axis) => product * axis, 1) : 0;

/** `attributes` are those of the kernel's name: hence `never`, which every one's type takes. */
const HELD = (isCompiled: boolean): Partial<Record<KernelName, Held>> => ({
  PeftAttention: (inputs, attributes) =>
    attentionElements(inputs, attributes as never, false, isCompiled),
  PeftAttentionGradient: (inputs, attributes) =>
    attentionElements(inputs, attributes as never, true, isCompiled),
  PeftDisentangledAttention: (inputs, attributes) =>
    disentangledElements(inputs, attributes as never, false, isCompiled),
  PeftDisentangledAttentionGradient: (inputs, attributes) =>
    disentangledElements(inputs, attributes as never, true, isCompiled),
  PeftGatherRows: ({ x }, { rows }) => (rows as Int32Array).length * (size(x) / x!.shape[0]! + 1),
  PeftScatterAddRows: ({ x }, { size: rows }) => (rows as number) * (size(x) / x!.shape[0]!),
  // halves, four products of half the width, their sums, the whole
  PeftRope: ({ x, cos }) => 4 * size(x) + 2 * x!.shape[0]! * cos!.shape[1]!,
  PeftCrossEntropy: ({ logits }) => 2 * size(logits), // logit − largest, its exponential
  // difference, exponential, product, targets, result
  PeftCrossEntropyGradient: ({ logits }) => 5 * size(logits),
});

/** Those that make their outputs in one pass. */
const COMPILED: readonly KernelName[] = [
  'PeftActivation',
  'PeftActivationGradient',
  'PeftGatedActivation',
  'PeftGatedActivationGradient',
  'PeftLayerNorm',
  'PeftLayerNormGradient',
  'PeftRmsNorm',
  'PeftRmsNormGradient',
  'PeftScaleColumnsGradient',
  'PeftSumRows',
];

/**
 * By kernel, the bytes that it holds. Dropout is a reference here, too; its random numbers take
 * time.
 * @param isCompiled whether the library has the kernels that `peft setup tensorflow` compiles for
 *   CPUs
 */
export function kernelHolds(
  isCompiled: boolean,
): Readonly<Partial<Record<KernelName, KernelHolds>>> {
  const held: Partial<Record<KernelName, Held>> = {
    PeftDropout: ({ x }) => 2 * size(x),
    ...HELD(isCompiled),
    ...Object.fromEntries((isCompiled ? COMPILED : []).map((name) => [name, () => 0])),
  };
  return Object.fromEntries(
    Object.entries(held).map(([name, elements]) => [
      name,
      (...call: Parameters<KernelHolds>) => 4 * elements(...call),
    ]),
  );
}

/** One tile at a time of one group at a time: the largest of each. */
interface Tiles {
  /**
   * Rows of queries and keys of a group, filled up to its longest sequence; the extra keys count
   * for every sequence.
   */
  readonly queryRows: number;
  readonly keyRows: number;
  /** Queries of a tile in all heads and sequences, and the columns of each. */
  readonly rows: number;
  readonly tileQueries: number;
  readonly columns: number;
}

function largestTile(
  queryOffsets: Int32Array,
  keyOffsets: Int32Array,
  withPositions: boolean,
  heads: number,
  extra: number,
): Tiles & { readonly queries: GroupedRows; readonly keys: GroupedRows } {
  const { parts, queries, keys } = tileBatch(queryOffsets, keyOffsets, withPositions, heads, extra);
  const tiles = parts.map(({ group, tiles: [first] }): Tiles => {
    const { count } = first!;
    const columns = extra + group.keyLength;
    const together = group.sequences.length;
    return {
      queryRows: together * group.queryLength,
      keyRows: together * columns,
      rows: together * heads * count,
      tileQueries: count,
      columns,
    };
  });
  return {
    ...tiles.reduce((most, each) =>
      each.rows * each.columns > most.rows * most.columns ? each : most,
    ),
    queries,
    keys,
  };
}

/** Rows in grouped order, where they are not already: filled with a row of zeros, then gathered. */
const regrouped = (x: TensorInfo | undefined, rows: GroupedRows): number =>
  rows && x ? (rows.length + (rows.includes(-1) ? x.shape[0]! : 0)) * (size(x) / x.shape[0]!) : 0;

function attentionElements(
  inputs: Inputs,
  { queryOffsets, keyOffsets, heads, causal, window, softCap, extra, dropout }: AttentionAttributes,
  isGradient: boolean,
  isCompiled: boolean,
): number {
  const { q, k, v, dy, bias } = inputs;
  const tile = largestTile(
    queryOffsets,
    keyOffsets,
    causal || window > 0 || bias !== undefined,
    heads,
    extra,
  );
  const [queryWidth, keyWidth] = [q!.shape[1]!, k!.shape[1]!];
  const [queryRows, keyRows] = [tile.queryRows * queryWidth, tile.keyRows * keyWidth];
  const isRagged = tile.keys !== undefined;
  const positions =
    // distances, what they hide in bytes, as numbers, times −10³⁰
    causal || window > 0 ? (window > 0 ? 4.5 : 3.25) * tile.tileQueries * tile.columns : 0;
  const biases = bias
    ? heads * tile.tileQueries * (3 * (tile.tileQueries + tile.columns) + tile.columns)
    : 0; // by distance, padded, cut twice
  const scores = tile.rows * tile.columns;
  const masks = (positions ? 1 : 0) + (isRagged ? 1 : 0) + (biases ? 1 : 0);
  const base =
    size(q) + regrouped(q, tile.queries) + regrouped(k, tile.keys) + regrouped(v, tile.keys);
  const split = queryRows + 2 * keyRows; // the heads in front
  if (!isGradient) {
    const inTile =
      ((isCompiled ? 2 : 3) + masks + (softCap > 0 ? 3 : 0) + (dropout ? 2 : 0)) * scores +
      2 * tile.rows * (queryWidth / heads);
    return base + split + positions + biases + inTile + (tile.queries ? 2 * size(q) : 0);
  }
  const inTile =
    ((isCompiled ? 4 : 6) + masks + (softCap > 0 ? 7 : 0) + (dropout ? 3 : 0)) * scores +
    2 * tile.rows * (queryWidth / heads) +
    2 * keyRows;
  const after = 2 * (queryRows + 2 * keyRows); // dq, dk and dv, and again with the heads behind
  return (
    base +
    size(dy) +
    regrouped(dy, tile.queries) +
    split +
    queryRows +
    Math.max(inTile + positions + biases, after) +
    (tile.queries ? 3 * size(q) : 0)
  );
}

function disentangledElements(
  inputs: Inputs,
  { offsets, heads, dropout, ...needs }: DisentangledAttributes,
  isGradient: boolean,
  isCompiled: boolean,
): number {
  const { q, k, v, dy, positionKeys, positionQueries } = inputs;
  const tile = largestTile(offsets, offsets, true, heads, 0);
  const width = q!.shape[1]!;
  const rows = tile.queryRows * width;
  const scores = tile.rows * tile.columns;
  // a product with the table's rows for every distance
  const wide = tile.rows * (tile.tileQueries + tile.columns);
  const table = 2 * (tile.tileQueries + tile.columns) * width;
  // compiled: the product alone; else padded, cut twice, and added
  const ofKeys = isCompiled ? wide + table : 3 * wide + 2 * scores + table;
  const ofQueries = isCompiled ? wide + table : 3 * wide + 3 * scores + table;
  // the columns of each block of keys, and all of them again
  const inBlocks = isCompiled && tile.tileQueries < tile.columns ? wide + 2 * scores : 0;
  const terms = (positionKeys ? ofKeys : 0) + (positionQueries ? ofQueries : 0) + inBlocks;
  const masks = tile.queries ? 1 : 0;
  const base = regrouped(q, tile.queries) + regrouped(k, tile.queries) + regrouped(v, tile.queries);
  const forward = ((isCompiled ? 3 : 4) + masks + (dropout ? 2 : 0)) * scores + terms;
  if (!isGradient) return base + 3 * rows + forward + 2 * rows + (tile.queries ? 2 * size(q) : 0);
  const { needPositionKeys, needPositionQueries } = needs as {
    needPositionKeys?: boolean;
    needPositionQueries?: boolean;
  };
  const trained =
    (needPositionKeys ? size(positionKeys) + 2 * table : 0) +
    (needPositionQueries ? size(positionQueries) + 2 * table : 0);
  const unskewed = isCompiled ? wide : 3 * wide;
  const termGradients =
    (positionKeys ? unskewed + table + 2 * rows : 0) +
    (positionQueries ? unskewed + (isCompiled ? 0 : scores) + table + 2 * rows : 0);
  return (
    base +
    size(dy) +
    regrouped(dy, tile.queries) +
    4 * rows +
    forward +
    ((isCompiled ? 3 : 4) + (dropout ? 2 : 0)) * scores +
    termGradients +
    trained +
    3 * rows +
    (tile.queries ? 3 * size(q) : 0)
  );
}
