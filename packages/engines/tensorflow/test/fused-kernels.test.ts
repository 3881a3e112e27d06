/**
 * This package's kernels for CPUs on tensors of several pieces, against the operations in plain
 * tfjs ops on tfjs's own backend.
 */
import {
  activate,
  gatedActivation,
  layerNorm,
  linear,
  linearActivated,
  memorySource,
  rmsNorm,
  scaleColumns,
  type ActivationName,
  type Engine,
} from '@peft/ops';
import { seededTensor, toBeAllclose } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { createTensorflowEngine } from '@peft/tensorflow';
import { distanceScores, keyTermGradient, queryTermGradient } from '../src/kernels/distances.js';
import { scoreExponentials, scoreGradient, scoreProbabilities } from '../src/kernels/scores.js';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();
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
/** More than two pieces of 64 rows and of 32,768 elements, and no multiple of sixteen. */
const [ROWS, WIDTH] = [331, 517];

const matrix = (seed: string, scale = 1) => seededTensor<Tensor2D>(seed, [ROWS, WIDTH], scale);
const vector = (seed: string) => seededTensor<Tensor1D>(seed, [WIDTH]);

interface Case {
  readonly name: string;
  readonly inputs: () => Tensor[];
  readonly run: (...inputs: Tensor[]) => Tensor;
}

const CASES: readonly Case[] = [
  ...ACTIVATIONS.map((kind): Case => ({
    name: `activation ${kind}`,
    inputs: () => [matrix('x', 4)],
    run: (x) => activate(kind, x),
  })),
  ...ACTIVATIONS.map((kind): Case => ({
    name: `gated activation ${kind}`,
    inputs: () => [matrix('x', 4), matrix('u')],
    run: (gate, up) => gatedActivation(kind, gate as Tensor2D, up as Tensor2D),
  })),
  {
    name: 'layer norm',
    inputs: () => [matrix('x'), vector('g'), vector('b')],
    run: (x, g, b) => layerNorm(x as Tensor2D, g as Tensor1D, b as Tensor1D, 1e-5),
  },
  {
    name: 'layer norm without bias',
    inputs: () => [matrix('x'), vector('g')],
    run: (x, g) => layerNorm(x as Tensor2D, g as Tensor1D, undefined, 1e-5),
  },
  {
    name: 'RMS norm',
    inputs: () => [matrix('x'), vector('g')],
    run: (x, g) => rmsNorm(x as Tensor2D, g as Tensor1D, 1e-6, { gammaOffset: 1 }),
  },
  {
    name: 'column scales',
    inputs: () => [matrix('x'), vector('s')],
    run: (x, s) => scaleColumns(x as Tensor2D, s as Tensor1D),
  },
  {
    name: 'exponentials of scores',
    inputs: () => [matrix('x', 20)],
    run: (x) => tf.concat([...scoreExponentials(x)], 1),
  },
];

/** Of each case the result and, where it has any, its gradients, on one backend. */
async function values(backend: string, { inputs, run, name }: Case): Promise<Float32Array[]> {
  await tf.setBackend(backend);
  return tf.tidy(() => {
    const xs = inputs();
    const y = run(...xs);
    const gradients = name.includes('scores') ? [] : tf.grads(run)(xs, matrix('dy'));
    return [y, ...gradients].map((tensor) => tensor.dataSync<'float32'>().slice());
  });
}

describe.skipIf(reason)(
  `the kernels of this package${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    let engine: Engine;
    beforeAll(async () => {
      expect.extend({ toBeAllclose });
      engine = await createTensorflowEngine({ precision: 'float32' });
      await engine.activate();
    });

    test('are there', () => {
      for (const name of [
        'PeftActivationGradient',
        'PeftLayerNorm',
        'PeftScoreExponentials',
        'PeftDistanceScores',
      ])
        expect(tf.getKernel(name, 'tensorflow')).toBeDefined();
      expect(engine.linearActivated).toBeDefined();
    });

    test.each(CASES.map((each) => [each.name, each] as const))(
      '%s and its gradients',
      async (_name, each) => {
        const [got, wanted] = [await values('tensorflow', each), await values('cpu', each)];
        got.forEach((array, i) =>
          expect(tf.tensor1d(array)).toBeAllclose(tf.tensor1d(wanted[i]!), {
            atol: 5e-5,
            rtol: 2e-5,
          }),
        );
      },
    );

    test('the gradient of scores is the one of plain operations', async () => {
      await tf.setBackend('tensorflow');
      tf.tidy(() => {
        const [scores, dp] = [matrix('x', 20), matrix('dp')];
        const [sums, delta] = [tf.logSumExp(scores, 1, true), tf.mean(dp, 1, true)];
        const p = scoreProbabilities(scores, sums);
        expect(p).toBeAllclose(tf.softmax(scores), { atol: 1e-6, rtol: 1e-5 });
        expect(scoreGradient(p, dp, delta)).toBeAllclose(tf.mul(p, tf.sub(dp, delta)), {
          atol: 1e-6,
          rtol: 1e-6,
        });
      });
    });

    test.each([
      [1, 1],
      [5, 40],
      [40, 5],
      [37, 150],
    ])(
      'position terms by distance for %i queries and %i keys, and their gradients',
      async (rows, columns) => {
        const width = rows + columns - 1;
        const shaped = (seed: string, a: number, b: number) => seededTensor(seed, [2, 3, a, b]);
        const run = async (backend: string): Promise<Float32Array[]> => {
          await tf.setBackend(backend);
          return tf.tidy(() => {
            const [products, keys, queries] = [
              shaped('p', rows, columns),
              shaped('k', rows, width),
              shaped('q', columns, width),
            ];
            const all = [
              distanceScores(products, keys, queries, 0.3),
              distanceScores(products, keys, undefined, 0.3),
              distanceScores(products, undefined, queries, 0.3),
              keyTermGradient(products),
              queryTermGradient(products),
            ];
            return all.map((tensor) => tensor.dataSync<'float32'>().slice());
          });
        };
        const [got, wanted] = [await run('tensorflow'), await run('cpu')];
        got.forEach((array, i) =>
          expect(tf.tensor1d(array)).toBeAllclose(tf.tensor1d(wanted[i]!), {
            atol: 1e-6,
            rtol: 1e-6,
          }),
        );
      },
    );

    test.each(ACTIVATIONS)('%s far out, at zero and of no number', async (kind) => {
      const far = Float32Array.of(
        -1e30,
        -300,
        -88,
        -87.2,
        -12,
        -4.5,
        -1e-30,
        0,
        1e-30,
        1.3,
        4.5,
        12,
        87.2,
        88,
        300,
        Number.NaN,
      );
      const run = async (backend: string): Promise<Float32Array[]> => {
        await tf.setBackend(backend);
        return tf.tidy(() =>
          [tf.tensor1d(far)]
            .flatMap((x) => [activate(kind, x), tf.grad((z) => activate(kind, z))(x)])
            .map((tensor) => tensor.dataSync<'float32'>().slice()),
        );
      };
      const [got, wanted] = [await run('tensorflow'), await run('cpu')];
      const last = far.length - 1;
      got.forEach((array, i) => {
        // Formulas with x³ overflow at −1e30 in the reference (∞·0); the limits are 0 there.
        for (let n = 0; n < last; n += 1)
          if (Number.isFinite(wanted[i]![n]!))
            expect(
              Math.abs(array[n]! - wanted[i]![n]!),
              `${kind} ${i} at ${far[n]}`,
            ).toBeLessThanOrEqual(1e-6 + 2e-5 * Math.abs(wanted[i]![n]!));
      });
      expect(got[0]![last]).toBeNaN();
    });

    test('a product, its bias and its activation in one, with the sums a gradient reads', async () => {
      await tf.setBackend('tensorflow');
      const weight = engine.freeze(
        memorySource(
          'w',
          [40, WIDTH],
          seededTensor('w', [40, WIDTH], 0.1).dataSync<'float32'>().slice(),
        ),
      );
      tf.tidy(() => {
        const [x, bias] = [matrix('x'), seededTensor<Tensor1D>('b', [40])];
        const plain = activate('gelu', linear(x, weight, bias));
        expect(linearActivated('gelu', x, weight, bias)).toBeAllclose(plain, {
          atol: 1e-6,
          rtol: 1e-6,
        });
        expect(linearActivated('gelu', x, weight)).toBeAllclose(
          activate('gelu', linear(x, weight)),
          { atol: 1e-6, rtol: 1e-6 },
        );
        const dx = (f: (z: Tensor2D) => Tensor2D) =>
          tf.grad((z: Tensor) => tf.sum(f(z as Tensor2D)))(x);
        expect(dx((z) => linearActivated('gelu', z, weight, bias))).toBeAllclose(
          dx((z) => activate('gelu', linear(z, weight, bias)) as Tensor2D),
          { atol: 1e-5, rtol: 1e-5 },
        );
      });
      weight.dispose();
    });

    test('a refusal names what does not fit', async () => {
      await tf.setBackend('tensorflow');
      tf.tidy(() => {
        expect(() => scoreProbabilities(matrix('x'), vector('s'))).toThrow(
          /log_sum_exp has 517 elements, and 331 are needed/,
        );
      });
    });
  },
);
