import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { clipByGlobalNorm, globalNorm, nonFiniteGradients } from './gradients.js';

beforeAll(() => tf.setBackend('cpu'));

describe('clipping by global norm', () => {
  const gradients = { b: tf.tensor2d([[3], [0]]), a: Float32Array.of(4) };

  test('scales by maximum / (norm + 1e-6), as PyTorch does', async () => {
    expect(await clipByGlobalNorm(gradients, 1)).toEqual({
      norm: 5,
      gradientScale: 1 / (5 + 1e-6),
      isFinite: true,
    });
  });

  test('leaves smaller gradients alone', async () => {
    expect((await clipByGlobalNorm(gradients, 5.1)).gradientScale).toBe(1);
  });

  test('sums in float64, so that tensors of very different sizes count and nothing overflows', async () => {
    expect(await globalNorm({ a: Float32Array.of(3e38), b: Float32Array.of(3e38) })).toBeCloseTo(
      3e38 * Math.SQRT2,
      -32,
    );
    const many = Object.fromEntries(
      Array.from({ length: 10_001 }, (_, i) => [`p${i}`, Float32Array.of(i === 0 ? 4096 : 0.5)]),
    );
    // in float32 each 0.25 would vanish beside 2²⁴
    expect(await globalNorm(many)).toBeCloseTo(Math.sqrt(4096 ** 2 + 2500), 9);
  });

  test('does not depend on the order in which gradients were gathered', async () => {
    const values = Array.from(
      { length: 50 },
      (_, i) =>
        [
          `p${i}`,
          Float32Array.from({ length: 9 }, (_, j) => Math.sin(i * 9 + j) * 10 ** (i % 6)),
        ] as const,
    );
    expect(await globalNorm(Object.fromEntries(values))).toBe(
      await globalNorm(Object.fromEntries([...values].reverse())),
    );
  });

  test('reports what is not finite instead of scaling by it', async () => {
    const broken = {
      fine: Float32Array.of(1),
      inf: tf.tensor1d([1, Infinity]),
      hole: Float32Array.of(Number.NaN),
    };
    expect(await clipByGlobalNorm(broken, 1)).toMatchObject({
      gradientScale: Number.NaN,
      isFinite: false,
    });
    expect(await nonFiniteGradients(broken)).toEqual(['hole', 'inf']);
    expect(await nonFiniteGradients(gradients)).toEqual([]);
  });

  test('makes no tensor and refuses a maximum of 0', async () => {
    const before = tf.memory().numTensors;
    await clipByGlobalNorm(gradients, 1);
    expect(tf.memory().numTensors).toBe(before);
    await expect(clipByGlobalNorm(gradients, 0)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PeftError: optim: maximumNorm must be a number > 0, got 0.]`,
    );
  });
});
