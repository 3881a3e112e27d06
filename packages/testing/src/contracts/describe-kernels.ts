/**
 * Each operation on the engine's backend against its reference on tfjs's plain cpu backend, values
 * and gradients.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  activate,
  addThinProducts,
  crossEntropy,
  dropout,
  gatedActivation,
  gatherRows,
  layerNorm,
  linear,
  offsetsOf,
  positionsOf,
  rmsNorm,
  rope,
  ropeTables,
  scaleColumns,
  scatterAddRows,
  withReferenceKernels,
  type ActivationName,
  type Engine,
} from '@peft/ops';
import { expect, test } from 'vitest';
import { attentionCases, disentangledCases } from './attention-cases.js';
import type { KernelCase, Matrix } from './kernel-case.js';
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
