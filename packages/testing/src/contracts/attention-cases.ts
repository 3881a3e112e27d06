/** Cases of attention and of disentangled attention in the contract of kernels. */
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  attention,
  debertaRelativeIndices,
  disentangledAttention,
  offsetsOf,
  relativePositionBuckets,
  type AttentionOptions,
} from '@peft/ops';
import type { KernelCase, Matrix } from './kernel-case.js';

export function attentionCases(matrix: Matrix): KernelCase[] {
  const cases: {
    name: string;
    queries: number[];
    keys?: number[];
    heads?: number;
    keyValueHeads?: number;
    size?: number;
    extra?: number;
    bias?: boolean;
    options?: Partial<AttentionOptions>;
  }[] = [
    { name: 'one token', queries: [1] },
    { name: 'several lengths', queries: [3, 1, 70, 3] },
    { name: 'causal', queries: [5, 1, 40], options: { causal: true } },
    { name: 'causal window', queries: [37, 5], options: { causal: true, window: 7 } },
    { name: 'window', queries: [37, 5], options: { window: 6 } },
    { name: 'longer keys, causal', queries: [1, 3], keys: [9, 20], options: { causal: true } },
    { name: 'cross', queries: [7, 1], keys: [2, 35] },
    { name: 'heads of 300', queries: [7, 1], heads: 2, size: 300, options: { causal: true } },
    { name: 'heads of 530', queries: [3], keys: [5], heads: 1, size: 530 },
    {
      name: 'single queries',
      queries: [1, 1, 1],
      keys: [1, 700, 90],
      heads: 6,
      keyValueHeads: 2,
      size: 40,
      options: { causal: true },
    },
    {
      name: 'single queries, window, soft cap',
      queries: [1, 1],
      keys: [600, 3],
      heads: 4,
      keyValueHeads: 1,
      options: { causal: true, window: 280, softCap: 2 },
    },
    {
      name: 'single queries, window to both sides',
      queries: [1, 1],
      keys: [20, 3],
      options: { window: 6 },
    },
    {
      name: 'single queries, bias, extra keys',
      queries: [1, 1],
      keys: [300, 8],
      size: 17,
      extra: 5,
      bias: true,
    },
    {
      name: 'grouped heads',
      queries: [6, 19],
      heads: 6,
      keyValueHeads: 2,
      options: { causal: true },
    },
    { name: 'one key head', queries: [6, 2], heads: 4, keyValueHeads: 1 },
    { name: 'soft cap', queries: [9, 4], options: { softCap: 1.5, scale: 0.8 } },
    { name: 'bias', queries: [40, 3], bias: true },
    { name: 'extra keys', queries: [9, 1, 4], extra: 5 },
    {
      name: 'extra keys, causal, grouped',
      queries: [9, 1, 4],
      extra: 3,
      heads: 4,
      keyValueHeads: 2,
      options: { causal: true },
    },
    { name: 'dropout', queries: [9, 4], options: { dropout: { rate: 0.25, key: [5, 77] } } },
    {
      name: 'all together',
      queries: [3, 8],
      keys: [5, 8],
      heads: 4,
      keyValueHeads: 2,
      size: 17,
      extra: 2,
      bias: true,
      options: { causal: true, window: 4, softCap: 3, dropout: { rate: 0.2, key: [1, 2] } },
    },
  ];
  const total = (lengths: readonly number[]) => lengths.reduce((a, b) => a + b, 0);
  return cases.map(
    ({
      name,
      queries,
      keys = queries,
      heads = 3,
      keyValueHeads = heads,
      size = 8,
      extra = 0,
      bias = false,
      options = {},
    }) => ({
      name: `attention: ${name}`,
      kernels: ['PeftAttention', 'PeftAttentionGradient'],
      hasProducts: true,
      inputs: () => [
        matrix('q', total(queries), heads * size),
        matrix('k', total(keys), keyValueHeads * size),
        matrix('v', total(keys), keyValueHeads * size),
        ...(bias ? [matrix('bias', heads, 32)] : []),
        ...(extra
          ? [matrix('ek', extra, keyValueHeads * size), matrix('ev', extra, keyValueHeads * size)]
          : []),
      ],
      run: (q, k, v, ...rest) => {
        const values = bias ? (rest.shift() as Tensor2D) : undefined;
        return attention(q as Tensor2D, k as Tensor2D, v as Tensor2D, {
          queryOffsets: offsetsOf(queries),
          keyOffsets: offsetsOf(keys),
          heads,
          keyValueHeads,
          ...options,
          bias: values && {
            values,
            ...relativePositionBuckets({ maxDistance: 20, bidirectional: true }),
          },
          extra: extra ? { keys: rest[0] as Tensor2D, values: rest[1] as Tensor2D } : undefined,
        });
      },
    }),
  );
}

export function disentangledCases(matrix: Matrix): KernelCase[] {
  const positions = { positionBuckets: 8, maxRelativePositions: 32 };
  const cases = [
    { name: 'one token', lengths: [1], tables: ['keys', 'queries'] },
    { name: 'several lengths', lengths: [5, 33, 1, 5], tables: ['keys', 'queries'] },
    { name: 'content to position only', lengths: [5, 33], tables: ['keys'] },
    { name: 'position to content only', lengths: [5, 33], tables: ['queries'] },
    { name: 'no position terms', lengths: [5, 3], tables: [] },
    {
      name: 'dropout',
      lengths: [5, 9],
      tables: ['keys', 'queries'],
      dropout: { rate: 0.25, key: [5, 77] as const },
    },
  ];
  return cases.map(({ name, lengths, tables, dropout: dropped }) => ({
    name: `disentangled attention: ${name}`,
    kernels: ['PeftDisentangledAttention', 'PeftDisentangledAttentionGradient'],
    hasProducts: true,
    inputs: () => [
      ...['q', 'k', 'v'].map((seed) =>
        matrix(
          seed,
          lengths.reduce((a, b) => a + b, 0),
          24,
        ),
      ),
      ...tables.map((seed) => matrix(seed, 16, 24)),
    ],
    run: (q, k, v, ...rest) =>
      disentangledAttention(q as Tensor2D, k as Tensor2D, v as Tensor2D, {
        offsets: offsetsOf(lengths),
        heads: 3,
        indices: debertaRelativeIndices({ ...positions, maxLength: 33 }),
        dropout: dropped,
        positionKeys: tables.includes('keys')
          ? (rest[tables.indexOf('keys')] as Tensor2D)
          : undefined,
        positionQueries: tables.includes('queries')
          ? (rest[tables.indexOf('queries')] as Tensor2D)
          : undefined,
      }),
  }));
}
