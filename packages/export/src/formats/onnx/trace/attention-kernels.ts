/** Attention as operators of ONNX: a batch of padded texts, and keys of earlier tokens. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { AttentionAttributes, DisentangledAttributes } from '@peft/ops';
import { cannotRecord } from './cannot-record.js';
import { recorder } from './layer-kernels.js';
import type { Recording } from './recording.js';
import type { Recorder } from './tensor-kernels.js';

/** Scores of hidden keys, which float16 holds, too. */
const HIDDEN = -65504;

/** `[N, H·E]` → `[B, H, T, E]` */
const splitHeads = (recording: Recording, x: string, heads: number, size: number): string =>
  recording.transpose(recording.reshape(x, recording.perToken(heads, size)), [0, 2, 1, 3]);

/** `[B, H, T, E]` → `[N, H·E]` */
const joinHeads = (recording: Recording, x: string, width: number): string =>
  recording.reshape(recording.transpose(x, [0, 2, 1, 3]), [-1, width]);

/** Places of all keys `[L]`, and of the queries among them, `[T]`. */
function places(recording: Recording): { readonly keys: string; readonly queries: string } {
  const { graph } = recording;
  const scalar = (value: string) => graph.node('Squeeze', [value]);
  const [zero, one] = [0, 1].map((value) => graph.integers([value], [])) as [string, string];
  const length = scalar(recording.keyLength);
  const first = graph.node('Sub', [length, scalar(recording.queryLength)]);
  return {
    keys: graph.node('Range', [zero, length, one]),
    queries: graph.node('Range', [first, length, one]),
  };
}

/** Distance of each key from each query, key − query, `[T, L]`. */
function distances(recording: Recording): string {
  const { keys, queries } = places(recording);
  return recording.graph.node('Sub', [
    recording.unsqueeze(keys, 0),
    recording.unsqueeze(queries, 1),
  ]);
}

/** Which keys a query sees: `[B, 1, 1, L]` or `[B, 1, T, L]`. */
function seen(
  recording: Recording,
  { causal, window }: Pick<AttentionAttributes, 'causal' | 'window'>,
  isOfMemory = false,
): string {
  const { graph } = recording;
  const mask = isOfMemory ? recording.memoryMask : recording.mask;
  const isToken = recording.unsqueeze(graph.cast(mask, 'bool'), 1, 2);
  if (!causal && window === 0) return isToken;
  const bound = (operator: string, distance: string, limit: number) =>
    graph.node(operator, [distance, graph.integers([limit], [])]);
  const distance = distances(recording);
  const near = causal
    ? [
        bound('LessOrEqual', distance, 0),
        ...(window > 0 ? [bound('Greater', distance, -window)] : []),
      ]
    : [bound('LessOrEqual', graph.node('Abs', [distance]), Math.floor(window / 2))];
  return near.reduce((all, next) => graph.node('And', [all, next]), isToken);
}

/** Scores of seen keys. */
const visibleScores = ({ graph }: Recording, scores: string, isSeen: string): string =>
  graph.node('Where', [isSeen, scores, graph.float(HIDDEN)]);

/** softmax(scores of seen keys) */
const probabilities = (recording: Recording, scores: string, isSeen: string): string =>
  recording.graph.node('Softmax', [visibleScores(recording, scores, isSeen)], { axis: -1 });

/** log Σ exp over the keys of each query and head `[N, H]`; scores `[B, …, T, L]`, heads in their order. */
function logSums(recording: Recording, scores: string, heads: number): string {
  const { graph } = recording;
  const isWide = graph.floatType === 'float32';
  const sums = graph.node('ReduceLogSumExp', [isWide ? scores : graph.cast(scores, 'float32')], {
    axes: [-1],
    keepdims: 0,
  });
  const perText = recording.reshape(
    isWide ? sums : graph.cast(sums, graph.floatType),
    recording.perText(heads, -1),
  );
  return recording.reshape(recording.transpose(perText, [0, 2, 1]), [-1, heads]);
}

/** Number of an entry of a table for each distance + origin, the ends standing for what is beyond. */
function tableIndex(
  recording: Recording,
  distance: string,
  index: Int32Array,
  origin: number,
): string {
  const { graph } = recording;
  const number = (value: number) => graph.integers([value], []);
  const place = graph.node('Add', [distance, number(origin)]);
  const inside = graph.node('Min', [
    graph.node('Max', [place, number(0)]),
    number(index.length - 1),
  ]);
  const isPlain = index.every((entry, at) => entry === at);
  return isPlain ? inside : graph.node('Gather', [graph.integers([...index]), inside]);
}

/** @throws PEFT_EXPORT_UNSUPPORTED for an attention that is not each text's own */
function requireOwnText(recording: Recording, ...offsets: readonly Int32Array[]): void {
  const own = recording.trace.batch.offsets;
  if (offsets.some((given) => given !== own && given.join() !== own.join()))
    throw cannotRecord('an attention reads other rows than those of its text');
}

const attention = recorder<'PeftAttention'>((recording, inputs, attributes) => {
  const { heads, keyValueHeads, extra, queryOffsets, keyOffsets } = attributes;
  const isOfMemory = keyOffsets === recording.trace.memoryOffsets;
  requireOwnText(recording, queryOffsets, isOfMemory ? queryOffsets : keyOffsets);
  if (extra > 0) throw cannotRecord('an attention has keys beside those of its text');
  const { graph } = recording;
  const { q, k, v, bias } = inputs;
  const [rows, width] = q!.shape as [number, number];
  const size = width / heads;
  const each = heads / keyValueHeads;
  const [keys, values] = keysAndValues(recording, [k!, v!], attributes, isOfMemory);
  const perHead = splitHeads(recording, recording.valueOf(q!), heads, size);
  const queries = each === 1 ? perHead : grouped(recording, perHead, keyValueHeads, each, size); // [B, Hkv, each, T, E]
  const products = cappedProducts(recording, queries, keys, attributes);
  const scores = bias
    ? graph.node('Add', [products, biasOf(recording, bias, attributes, each)])
    : products;
  const isSeen = seen(recording, attributes, isOfMemory);
  const visible = visibleScores(
    recording,
    scores,
    each === 1 ? isSeen : recording.unsqueeze(isSeen, 1),
  );
  const shares = graph.node('Softmax', [visible], { axis: -1 });
  const made = graph.node('MatMul', [shares, values]);
  const sums = recording.tensor(logSums(recording, visible, heads), [rows, heads]);
  const flat = each === 1 ? made : ungrouped(recording, made, heads, size);
  return [recording.tensor(joinHeads(recording, flat, width), [rows, width]), sums];
});

/** Of all tokens that there are, `[B, H, L, E]`, or `[B, Hkv, 1, L, E]` where heads share them. */
function keysAndValues(
  recording: Recording,
  own: readonly [TensorInfo, TensorInfo],
  { heads, keyValueHeads, causal }: AttentionAttributes,
  isOfMemory: boolean,
): [string, string] {
  const [, width] = own[0].shape as [number, number];
  const shape = recording.perText(-1, keyValueHeads, width / keyValueHeads);
  const made = own.map((tensor) =>
    recording.transpose(recording.reshape(recording.valueOf(tensor), shape), [0, 2, 1, 3]),
  ) as [string, string];
  const isCached = recording.hasCache && (causal || isOfMemory);
  const all = isCached ? recording.withPast(made, isOfMemory ? 'memory' : 'own') : made;
  return heads === keyValueHeads
    ? all
    : (all.map((x) => recording.unsqueeze(x, 2)) as [string, string]);
}

/** cap(scale·q·k) */
function cappedProducts(
  recording: Recording,
  queries: string,
  keys: string,
  { heads, keyValueHeads, scale, softCap }: AttentionAttributes,
): string {
  const { graph } = recording;
  const turned = recording.transpose(
    keys,
    heads === keyValueHeads ? [0, 1, 3, 2] : [0, 1, 2, 4, 3],
  );
  const products = graph.node('MatMul', [graph.node('Mul', [queries, graph.float(scale)]), turned]);
  if (softCap === 0) return products;
  const cap = graph.float(softCap);
  return graph.node('Mul', [graph.node('Tanh', [graph.node('Div', [products, cap])]), cap]);
}

/** `[B, Hkv·each, T, E]` → `[B, Hkv, each, T, E]` */
const grouped = (
  recording: Recording,
  x: string,
  keyValueHeads: number,
  each: number,
  size: number,
): string => recording.reshape(x, recording.perText(keyValueHeads, each, -1, size));

/** `[B, Hkv, each, T, E]` → `[B, H, T, E]` */
const ungrouped = (recording: Recording, x: string, heads: number, size: number): string =>
  recording.reshape(x, recording.perText(heads, -1, size));

/** What distances add to the scores: `[H, T, L]`, or `[Hkv, each, T, L]`. */
function biasOf(
  recording: Recording,
  bias: TensorInfo,
  { heads, biasIndex, biasOrigin = 0 }: AttentionAttributes,
  each: number,
): string {
  const { graph } = recording;
  const index = tableIndex(recording, distances(recording), biasIndex!, biasOrigin);
  const planes = graph.node('Gather', [recording.valueOf(bias), index], { axis: 1 });
  if (each === 1) return planes;
  const shape = graph.node(
    'Concat',
    [graph.integers([heads / each, each]), recording.queryLength, recording.keyLength],
    { axis: 0 },
  );
  return recording.reshape(planes, shape);
}

const disentangled = recorder<'PeftDisentangledAttention'>((recording, inputs, attributes) => {
  const { heads, scale, offsets, contentToPositionIndex, positionToContentIndex } = attributes;
  requireOwnText(recording, offsets);
  const { graph } = recording;
  const [rows, width] = inputs.q!.shape as [number, number];
  const size = width / heads;
  const [q, k, v] = (['q', 'k', 'v'] as const).map((name) =>
    splitHeads(recording, recording.valueOf(inputs[name]!), heads, size),
  ) as [string, string, string];
  const terms = [graph.node('MatMul', [q, recording.transpose(k, [0, 1, 3, 2])])];
  const term = (content: string, table: TensorInfo, index: Int32Array, isOfKeys: boolean) =>
    positionTerm(recording, content, table, { heads, index, isOfKeys, attributes });
  if (inputs.positionKeys) terms.push(term(q, inputs.positionKeys, contentToPositionIndex, false));
  if (inputs.positionQueries)
    terms.push(term(k, inputs.positionQueries, positionToContentIndex, true));
  const sum = terms.reduce((all, next) => graph.node('Add', [all, next]));
  const shares = probabilities(
    recording,
    graph.node('Mul', [sum, graph.float(scale)]),
    seen(recording, { causal: false, window: 0 }),
  );
  return [
    recording.tensor(joinHeads(recording, graph.node('MatMul', [shares, v]), width), [rows, width]),
    recording.unknown([rows, heads]),
  ];
});

/**
 * content_i · table row of the distance query − key, `[B, H, T, T]`; of keys, turned so that rows
 * are queries.
 */
function positionTerm(
  recording: Recording,
  content: string,
  table: TensorInfo,
  {
    heads,
    index,
    isOfKeys,
    attributes: { relativeOrigin },
  }: {
    readonly heads: number;
    readonly index: Int32Array;
    readonly isOfKeys: boolean;
    readonly attributes: DisentangledAttributes;
  },
): string {
  const { graph } = recording;
  const [, width] = table.shape as [number, number];
  // as many axes as the content: ONNX Runtime 1.30 crashes on others in float16
  const perHead = recording.transpose(
    recording.reshape(recording.valueOf(table), [1, -1, heads, width / heads]),
    [0, 2, 3, 1],
  ); // [1, H, E, S]
  const products = graph.node('MatMul', [content, perHead]); // [B, H, T, S]
  const distance = distances(recording); // key − query [query, key]
  // rows of the products are queries, or keys; columns the other side
  const fromRow = isOfKeys ? recording.transpose(distance, [1, 0]) : distance;
  const place = tableIndex(recording, graph.node('Neg', [fromRow]), index, relativeOrigin);
  const shape = graph.node(
    'Concat',
    [recording.perText(heads), recording.queryLength, recording.queryLength],
    { axis: 0 },
  );
  const term = graph.node('GatherElements', [products, graph.node('Expand', [place, shape])], {
    axis: 3,
  });
  return isOfKeys ? recording.transpose(term, [0, 1, 3, 2]) : term;
}

/** By the name of our kernel. */
export const ATTENTION_KERNELS: Readonly<Record<string, Recorder>> = Object.freeze({
  PeftAttention: attention,
  PeftDisentangledAttention: disentangled,
});
