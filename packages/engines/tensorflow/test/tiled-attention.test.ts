/**
 * The tiled kernels with tiles of a few scores against the operations' references. They are made of
 * tfjs ops, so tfjs's own CPU backend serves.
 */
import {
  attention,
  debertaRelativeIndices,
  disentangledAttention,
  offsetsOf,
  relativePositionBuckets,
  type AttentionAttributes,
  type DisentangledAttributes,
} from '@peft/ops';
import { seededTensor, toBeAllclose } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import * as tiled from '../src/kernels/attention.js';
import * as disentangled from '../src/kernels/disentangled-attention.js';

const HEADS = 4;
const SIZE = 6;
const total = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);
const matrix = (seed: string, rows: number, width: number) =>
  seededTensor<Tensor2D>(seed, [rows, width]);

beforeAll(async () => {
  expect.extend({ toBeAllclose });
  await tf.setBackend('cpu');
});

interface Case {
  readonly name: string;
  readonly queries: number[];
  readonly keys?: number[];
  readonly keyValueHeads?: number;
  readonly extra?: number;
  readonly bias?: boolean;
  readonly options?: Partial<Omit<AttentionAttributes, 'extra'>>;
}

const CASES: readonly Case[] = [
  { name: 'plain', queries: [9, 20, 9, 1] },
  { name: 'causal', queries: [9, 20], options: { causal: true } },
  { name: 'causal window', queries: [9, 20], options: { causal: true, window: 4 } },
  { name: 'window', queries: [21, 3], options: { window: 5 } },
  {
    name: 'longer keys, causal, grouped',
    queries: [5, 9],
    keys: [12, 20],
    keyValueHeads: 2,
    options: { causal: true },
  },
  { name: 'cross', queries: [9, 2], keys: [4, 17] },
  {
    name: 'extra keys and dropout',
    queries: [9, 14],
    extra: 3,
    options: { dropout: { rate: 0.3, key: [4, 9] } },
  },
  { name: 'bias and soft cap', queries: [20, 7], bias: true, options: { softCap: 2 } },
  {
    name: 'all together',
    queries: [6, 9],
    keys: [8, 11],
    keyValueHeads: 2,
    extra: 2,
    bias: true,
    options: { causal: true, window: 6, softCap: 3, dropout: { rate: 0.2, key: [1, 2] } },
  },
];

describe('tiled attention', () => {
  test.each(
    CASES.flatMap((item) => [1, 100, 2000].map((budget) => [item.name, budget, item] as const)),
  )(
    '%s, tiles of %i scores',
    (
      _name,
      budget,
      { queries, keys = queries, keyValueHeads = HEADS, extra = 0, bias = false, options = {} },
    ) => {
      tf.tidy(() => {
        const buckets = relativePositionBuckets({ maxDistance: 20, bidirectional: true });
        const inputs: Record<string, Tensor> = {
          q: matrix('q', total(queries), HEADS * SIZE),
          k: matrix('k', total(keys), keyValueHeads * SIZE),
          v: matrix('v', total(keys), keyValueHeads * SIZE),
          ...(bias && { bias: matrix('bias', HEADS, 32) }),
          ...(extra && {
            extraKeys: matrix('ek', extra, keyValueHeads * SIZE),
            extraValues: matrix('ev', extra, keyValueHeads * SIZE),
          }),
        };
        const names = Object.keys(inputs);
        const offsets = { queryOffsets: offsetsOf(queries), keyOffsets: offsetsOf(keys) };
        const shape = { heads: HEADS, keyValueHeads, scale: 0.4 };
        const run = (...xs: Tensor[]) => {
          const at = Object.fromEntries(names.map((name, i) => [name, xs[i] as Tensor2D]));
          return attention(at['q']!, at['k']!, at['v']!, {
            ...offsets,
            ...shape,
            ...options,
            ...(bias ? { bias: { values: at['bias']!, ...buckets } } : {}),
            ...(extra > 0 ? { extra: { keys: at['extraKeys']!, values: at['extraValues']! } } : {}),
          });
        };
        const dy = matrix('dy', total(queries), HEADS * SIZE);
        const wanted = [run(...Object.values(inputs)), ...tf.grads(run)(Object.values(inputs), dy)];
        const attributes: AttentionAttributes = {
          ...offsets,
          ...shape,
          causal: false,
          window: 0,
          softCap: 0,
          extra,
          ...options,
          ...(bias && { biasIndex: buckets.index, biasOrigin: buckets.origin }),
        };
        const [y, logSumExp] = tiled.forward(inputs, attributes, budget) as [Tensor, Tensor];
        const gradients = tiled.gradient(
          { ...inputs, y, logSumExp, dy },
          { ...attributes, needBias: bias },
          budget,
        );
        const order = ['q', 'k', 'v', 'bias', 'extraKeys', 'extraValues'];
        [y, ...names.map((name) => gradients[order.indexOf(name)]!)].forEach((tensor, i) =>
          expect(tensor).toBeAllclose(wanted[i]!, { atol: 2e-5, rtol: 1e-4 }),
        );
      });
    },
  );
});

describe('tiled disentangled attention', () => {
  test.each([1, 100, 3000].flatMap((budget) => [0, 0.25].map((rate) => [budget, rate] as const)))(
    'tiles of %i scores, dropout %d',
    (budget, rate) => {
      tf.tidy(() => {
        const lengths = [7, 21, 1, 7];
        const indices = debertaRelativeIndices({
          positionBuckets: 8,
          maxRelativePositions: 32,
          maxLength: 21,
        });
        const inputs = ['q', 'k', 'v']
          .map((seed) => matrix(seed, total(lengths), HEADS * SIZE))
          .concat(['pk', 'pq'].map((seed) => matrix(seed, 16, HEADS * SIZE)));
        const dropout = rate > 0 ? { dropout: { rate, key: [5, 77] as const } } : {};
        const run = (
          q: Tensor,
          k: Tensor,
          v: Tensor,
          positionKeys: Tensor,
          positionQueries: Tensor,
        ) =>
          disentangledAttention(q as Tensor2D, k as Tensor2D, v as Tensor2D, {
            offsets: offsetsOf(lengths),
            heads: HEADS,
            scale: 0.3,
            indices,
            positionKeys: positionKeys as Tensor2D,
            positionQueries: positionQueries as Tensor2D,
            ...dropout,
          });
        const dy = matrix('dy', total(lengths), HEADS * SIZE);
        const wanted = [
          run(...(inputs as unknown as Parameters<typeof run>)),
          ...tf.grads((...xs: Tensor[]) => run(...(xs as unknown as Parameters<typeof run>)))(
            inputs,
            dy,
          ),
        ];
        const attributes: DisentangledAttributes = {
          offsets: offsetsOf(lengths),
          heads: HEADS,
          scale: 0.3,
          ...indices,
          ...dropout,
        };
        const [q, k, v, positionKeys, positionQueries] = inputs as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        const named = { q, k, v, positionKeys, positionQueries };
        const [y, logSumExp] = disentangled.forward(named, attributes, budget) as [Tensor, Tensor];
        const gradients = disentangled.gradient(
          { ...named, y, logSumExp, dy },
          { ...attributes, needPositionKeys: true, needPositionQueries: true },
          budget,
        );
        [y, ...gradients].forEach((tensor, i) =>
          expect(tensor).toBeAllclose(wanted[i]!, { atol: 2e-5, rtol: 1e-4 }),
        );
      });
    },
  );
});
