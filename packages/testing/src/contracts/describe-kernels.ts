/**
 * Each operation on the engine's backend against its reference on tfjs's plain cpu backend, values
 * and gradients.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  activate,
  addThinProducts,
  attention,
  crossEntropy,
  debertaRelativeIndices,
  disentangledAttention,
  dropout,
  gatedActivation,
  gatherRows,
  layerNorm,
  linear,
  offsetsOf,
  positionsOf,
  relativePositionBuckets,
  rmsNorm,
  rope,
  ropeTables,
  scaleColumns,
  scatterAddRows,
  withReferenceKernels,
  type ActivationName,
  type AttentionOptions,
  type Engine,
  type KernelName,
} from '@peft/ops';
import { expect, test } from 'vitest';
import { seededTensor } from '../seeded-tensor.js';

const ACTIVATIONS: readonly ActivationName[] = [
  'gelu',
  'gelu_tanh',
  'gelu_quick',
  'relu',
  'relu_squared',
  'silu',
  'tanh',
  'sigmoid',
  'leaky_relu',
];

interface KernelCase {
  readonly name: string;
  /** What an engine may override in it. */
  readonly kernels: readonly KernelName[];
  readonly inputs: () => Tensor[];
  readonly run: (...inputs: Tensor[]) => Tensor;
  /** Of the values and gradients, in float32; products in bfloat16 get more. */
  readonly atol?: number;
  readonly hasProducts?: boolean;
}

/**
 * Declares one test per case. Where the backend has none of an operation's kernels, its reference
 * runs there. Call within a `describe` whose engine is active while the tests run.
 */
export function describeKernels(engine: () => Engine): void {
  test.each(kernelCases())('$name', async ({ inputs, run, atol = 2e-5, hasProducts = false }) => {
    const valueAndGradients = () =>
      tf.tidy(() => {
        const given = inputs();
        const y = run(...given);
        const gradients = tf.grads((...xs: Tensor[]) => run(...xs))(
          given,
          seededTensor('dy', y.shape),
        );
        // `tidy` hands on what is no tensor, and its type knows tensors alone
        return [y, ...gradients].map((tensor) => tensor.dataSync().slice()) as never;
      }) as unknown as Float32Array[];
    const own = valueAndGradients();
    await tf.setBackend('cpu');
    const reference = withReferenceKernels(valueAndGradients);
    await engine().activate();
    const coarse = hasProducts && engine().precision === 'bfloat16';
    own.forEach((values, i) =>
      expect(values).toBeAllclose(
        reference[i]!,
        coarse ? { atol: 5e-2, rtol: 5e-2 } : { atol, rtol: 1e-4 },
      ),
    );
  });
}

function kernelCases(): KernelCase[] {
  const matrix = (seed: string, rows: number, width: number, scale = 1) =>
    seededTensor<Tensor2D>(seed, [rows, width], scale);
  const vector = (seed: string, width: number) => seededTensor<Tensor1D>(seed, [width]);
  return [
    ...[
      [1, 1],
      [3, 17],
      [40, 130],
    ].flatMap(([rows, width]): KernelCase[] => [
      {
        name: `layer norm ${rows} × ${width}`,
        kernels: ['PeftLayerNorm', 'PeftLayerNormGradient'],
        inputs: () => [matrix('x', rows!, width!), vector('g', width!), vector('b', width!)],
        run: (x, g, b) => layerNorm(x as Tensor2D, g as Tensor1D, b as Tensor1D, 1e-5),
        atol: 1e-4,
      },
      {
        name: `layer norm without bias ${rows} × ${width}`,
        kernels: ['PeftLayerNorm', 'PeftLayerNormGradient'],
        inputs: () => [matrix('x', rows!, width!), vector('g', width!)],
        run: (x, g) => layerNorm(x as Tensor2D, g as Tensor1D, undefined, 1e-5),
        atol: 1e-4,
      },
      {
        name: `RMS norm ${rows} × ${width}`,
        kernels: ['PeftRmsNorm', 'PeftRmsNormGradient'],
        inputs: () => [matrix('x', rows!, width!), vector('g', width!)],
        run: (x, g) => rmsNorm(x as Tensor2D, g as Tensor1D, 1e-6, { gammaOffset: 1 }),
        atol: 1e-4,
      },
      {
        name: `column scales ${rows} × ${width}`,
        kernels: ['PeftScaleColumns', 'PeftScaleColumnsGradient'],
        inputs: () => [matrix('x', rows!, width!), vector('s', width!)],
        run: (x, s) => scaleColumns(x as Tensor2D, s as Tensor1D),
      },
      {
        name: `dropout ${rows} × ${width}`,
        kernels: ['PeftDropout'],
        inputs: () => [matrix('x', rows!, width!)],
        run: (x) => dropout(x as Tensor2D, 0.3, [7, 11]),
        atol: 0,
      },
      {
        name: `row sums ${rows} × ${width}`,
        kernels: ['PeftSumRows'],
        inputs: () => [matrix('x', rows!, width!), vector('b', width!)],
        run: (x, b) => linear(x as Tensor2D, tf.ones([width!, width!]), b as Tensor1D),
        atol: 1e-4,
        hasProducts: true,
      },
    ]),
    ...ACTIVATIONS.flatMap((kind): KernelCase[] => [
      {
        name: `activation ${kind}`,
        kernels: ['PeftActivation', 'PeftActivationGradient'],
        inputs: () => [matrix('x', 5, 33, 3)],
        run: (x) => activate(kind, x as Tensor2D),
      },
      {
        name: `gated ${kind}`,
        kernels: ['PeftGatedActivation', 'PeftGatedActivationGradient'],
        inputs: () => [matrix('x', 5, 33, 2), matrix('u', 5, 33)],
        run: (x, u) => gatedActivation(kind, x as Tensor2D, u as Tensor2D),
      },
    ]),
    {
      name: 'gathered rows',
      kernels: ['PeftGatherRows', 'PeftScatterAddRows'],
      inputs: () => [matrix('x', 6, 19)],
      run: (x) => gatherRows(x as Tensor2D, Int32Array.of(5, 0, 0, 3, 5, 5, 1)),
    },
    {
      name: 'scattered rows',
      kernels: ['PeftGatherRows', 'PeftScatterAddRows'],
      inputs: () => [matrix('x', 5, 19)],
      run: (x) => scatterAddRows(x as Tensor2D, Int32Array.of(2, 0, 2, 6, 2), 7),
    },
    {
      name: 'thin products of some rows',
      kernels: ['PeftAddThinProducts'],
      hasProducts: true,
      inputs: () => [
        matrix('y', 7, 21),
        matrix('x', 7, 19),
        ...[3, 5].flatMap((rank) => [matrix(`a${rank}`, rank, 19), matrix(`b${rank}`, 21, rank)]),
      ],
      run: (y, x, ...factors) => {
        const [a, b, c, d] = factors as Tensor2D[];
        return addThinProducts(y as Tensor2D, x as Tensor2D, [
          { rows: Int32Array.of(5, 0, 3), a: a!, b: b!, scale: 0.5 },
          { rows: Int32Array.of(1, 6), a: c!, b: d!, scale: -2 },
        ]);
      },
    },
    {
      name: 'cross entropy',
      kernels: ['PeftCrossEntropy', 'PeftCrossEntropyGradient'],
      inputs: () => [matrix('z', 6, 37, 4)],
      run: (z) => crossEntropy(z as Tensor2D, Int32Array.of(0, 36, -100, 5, 5, 17)),
    },
    {
      name: 'cross entropy of one class',
      kernels: ['PeftCrossEntropy', 'PeftCrossEntropyGradient'],
      inputs: () => [matrix('z', 2, 1)],
      run: (z) => crossEntropy(z as Tensor2D, Int32Array.of(0, -100)),
    },
    {
      name: 'cross entropy of large logits',
      kernels: ['PeftCrossEntropy', 'PeftCrossEntropyGradient'],
      inputs: () => [matrix('z', 3, 300, 80)],
      run: (z) => crossEntropy(z as Tensor2D, Int32Array.of(299, 0, 7)),
      atol: 1e-4,
    },
    ...ropeCases(matrix),
    ...attentionCases(matrix),
    ...disentangledCases(matrix),
  ];
}

type Matrix = (seed: string, rows: number, width: number) => Tensor2D;

function ropeCases(matrix: Matrix): KernelCase[] {
  return [
    { heads: 1, size: 8, partial: 1, interleaved: false },
    { heads: 3, size: 10, partial: 0.6, interleaved: false },
    { heads: 2, size: 8, partial: 1, interleaved: true },
    { heads: 3, size: 10, partial: 0.6, interleaved: true },
  ].map(({ heads, size, partial, interleaved }) => ({
    name:
      `rope of ${heads} heads of ${size}, ${partial} of it turned` +
      (interleaved ? ', neighbours in pairs' : ''),
    kernels: ['PeftRope'],
    inputs: () => [matrix('x', 9, heads * size)],
    run: (x) =>
      rope(
        x as Tensor2D,
        ropeTables({ headSize: size, length: 7, partialRotaryFactor: partial }),
        positionsOf(offsetsOf([4, 1, 4]), 2),
        heads,
        { interleaved },
      ),
  }));
}

function attentionCases(matrix: Matrix): KernelCase[] {
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

function disentangledCases(matrix: Matrix): KernelCase[] {
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
