/** Runs attention and its gradient in the addon on seeded inputs, with every option. */
import type { AttentionOptions, DisentangledOptions } from '../src/binding/attention.js';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { randomFloats } from './addon.js';

const offsetsOf = (lengths: readonly number[]) =>
  Int32Array.from([
    0,
    ...lengths.map((_, b) => lengths.slice(0, b + 1).reduce((sum, length) => sum + length, 0)),
  ]);

/**
 * Rows as multiples of 1/4 and their first element `level`, so that products of two are exact, and
 * level² is part of all of them.
 */
function atLevel(rows: Float32Array, size: number, level: number | undefined): Float32Array {
  return level === undefined
    ? rows
    : rows.map((x, i) => (i % size === 0 ? level : Math.round(4 * x) / 4));
}

export interface AttentionCase {
  readonly lengths: readonly number[];
  readonly more: number;
  readonly group: number;
  readonly keyHeads: number;
  readonly size: number;
  readonly causal: boolean;
  readonly window: number;
  readonly softCap: number;
  readonly bias: boolean;
  readonly extra: number;
  readonly rate: number;
  readonly bf16: boolean;
  readonly seed: number;
  /** If there, products of queries and keys are exact, and this squared is part of all. */
  readonly level?: number;
}

export function runAttention(native: NativeBinding, c: AttentionCase) {
  const { group, keyHeads, size, extra, seed } = c;
  const heads = group * keyHeads;
  const queryOffsets = offsetsOf(c.lengths);
  const keyOffsets = offsetsOf(c.lengths.map((queries) => queries + c.more));
  const [nq, nk] = [queryOffsets.at(-1)!, keyOffsets.at(-1)!];
  const index = Int32Array.from({ length: 9 }, (_, i) => (i * 5) % 6);
  const options: AttentionOptions = {
    queryOffsets,
    keyOffsets,
    heads,
    keyValueHeads: keyHeads,
    headSize: size,
    scale: c.level === undefined ? 1.3 / Math.sqrt(size) : 1,
    causal: c.causal,
    window: c.window,
    softCap: c.softCap,
    biasIndex: c.bias ? index : null,
    biasOrigin: 4,
    biasColumns: c.bias ? 6 : 0,
    extra,
    dropoutRate: c.rate,
    dropoutKey0: seed,
    dropoutKey1: -7,
    bf16: c.bf16,
  };
  const random = (count: number, n: number) => randomFloats(count, seed + n);
  const inputs = {
    q: atLevel(random(nq * heads * size, 1), size, c.level),
    k: atLevel(random(nk * keyHeads * size, 2), size, c.level),
    v: random(nk * keyHeads * size, 3),
    dy: random(nq * heads * size, 4),
    bias: c.bias ? random(heads * 6, 5) : null,
    extraKeys: extra ? atLevel(random(extra * keyHeads * size, 6), size, c.level) : null,
    extraValues: extra ? random(extra * keyHeads * size, 7) : null,
  };
  const blank = (count: number) => new Float32Array(count).fill(NaN);
  const outputs = {
    y: blank(inputs.q.length),
    logSumExp: blank(nq * heads),
    dq: blank(inputs.q.length),
    dk: blank(inputs.k.length),
    dv: blank(inputs.v.length),
    dbias: inputs.bias && blank(inputs.bias.length),
    dextraKeys: inputs.extraKeys && blank(inputs.extraKeys.length),
    dextraValues: inputs.extraValues && blank(inputs.extraValues.length),
  };
  const { q, k, v, bias, extraKeys, extraValues, dy } = inputs;
  const { y, logSumExp, dq, dk, dv, dbias, dextraKeys, dextraValues } = outputs;
  native.attention(q, k, v, bias, extraKeys, extraValues, y, logSumExp, options);
  native.attentionGradient(
    q,
    k,
    v,
    bias,
    extraKeys,
    extraValues,
    y,
    logSumExp,
    dy,
    dq,
    dk,
    dv,
    dbias,
    dextraKeys,
    dextraValues,
    options,
  );
  return { inputs, options, outputs };
}

export interface DisentangledCase {
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly size: number;
  readonly keys: boolean;
  readonly queries: boolean;
  readonly rate: number;
  readonly bf16: boolean;
  readonly seed: number;
  /** If there, products of queries and keys are exact, and this squared is part of all. */
  readonly level?: number;
}

export function runDisentangled(native: NativeBinding, c: DisentangledCase) {
  const { heads, size, seed } = c;
  const offsets = offsetsOf(c.lengths);
  const n = offsets.at(-1)!;
  const positions = 11;
  const table = (step: number) =>
    Int32Array.from({ length: 25 }, (_, i) => Math.min(Math.floor((i * step) / 10), positions - 1));
  const options: DisentangledOptions = {
    offsets,
    heads,
    headSize: size,
    scale: c.level === undefined ? 0.8 / Math.sqrt(size) : 1,
    contentToPositionIndex: table(5),
    positionToContentIndex: table(4),
    relativeOrigin: 12,
    positions,
    dropoutRate: c.rate,
    dropoutKey0: seed,
    dropoutKey1: 99,
    bf16: c.bf16,
  };
  const random = (count: number, k: number) => randomFloats(count, seed + k);
  const [elements, rows] = [n * heads * size, positions * heads * size];
  const inputs = {
    q: atLevel(random(elements, 1), size, c.level),
    k: atLevel(random(elements, 2), size, c.level),
    v: random(elements, 3),
    dy: random(elements, 4),
    positionKeys: c.keys ? atLevel(random(rows, 5), size, c.level && 0) : null,
    positionQueries: c.queries ? atLevel(random(rows, 6), size, c.level && 0) : null,
  };
  const blank = (count: number) => new Float32Array(count).fill(NaN);
  const outputs = {
    y: blank(elements),
    logSumExp: blank(n * heads),
    dq: blank(elements),
    dk: blank(elements),
    dv: blank(elements),
    dpositionKeys: c.keys ? blank(rows) : null,
    dpositionQueries: c.queries ? blank(rows) : null,
  };
  const { q, k, v, dy, positionKeys, positionQueries } = inputs;
  const { y, logSumExp, dq, dk, dv, dpositionKeys, dpositionQueries } = outputs;
  native.disentangledAttention(q, k, v, positionKeys, positionQueries, y, logSumExp, options);
  native.disentangledAttentionGradient(
    q,
    k,
    v,
    positionKeys,
    positionQueries,
    y,
    logSumExp,
    dy,
    dq,
    dk,
    dv,
    dpositionKeys,
    dpositionQueries,
    options,
  );
  return { inputs, options, outputs };
}
