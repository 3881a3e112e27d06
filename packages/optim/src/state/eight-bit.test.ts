import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { adam8bit, adamw8bit, lion8bit, momentum8bit } from './eight-bit.js';
import { adamw } from '../rules/adamw.js';
import { lion } from '../rules/lion.js';
import { stateBytes, type Optimizer } from '../rules/optimizer.js';
import { sgd } from '../rules/sgd.js';

beforeAll(() => tf.setBackend('cpu'));

const train = async (
  optimizer: Optimizer,
  elements: number,
  steps: number,
): Promise<{ values: Float32Array; stateBytes: number }> => {
  const variable = tf.tidy(() => tf.variable(tf.fill([elements], 0.5)));
  const parameters = [{ name: 'p', variable, group: { learningRateScale: 1, weightDecay: 0.01 } }];
  const state = optimizer.init(parameters);
  for (let t = 0; t < steps; t += 1) {
    const gradient = Float32Array.from(
      { length: elements },
      (_, i) => Math.sin(i + 0.3 * t) * (1 + (i % 10)),
    );
    await optimizer.update(parameters, { p: gradient }, state, { learningRate: 1e-3 });
  }
  return { values: Float32Array.from(variable.dataSync()), stateBytes: state.store.totalBytes };
};
const furthest = (a: Float32Array, b: Float32Array): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe('8-bit optimisers', () => {
  test('keep float32 states below 4,096 elements and codes from there on', async () => {
    expect(
      await Promise.all([4095, 4096].map(async (n) => (await train(adamw8bit(), n, 1)).stateBytes)),
    ).toEqual([8 * 4095, 2 * 4096 + 8 * 16]);
    expect((await train(lion8bit({ minimumElements: 10 }), 10, 1)).stateBytes).toBe(10 + 4);
    expect(stateBytes(adamw8bit(), [[4095], [64, 64]])).toBe(8 * 4095 + 2 * 4096 + 8 * 16);
  });

  test('equal their 32-bit twins below the minimum', async () => {
    expect((await train(adamw8bit(), 100, 10)).values).toEqual(
      (await train(adamw(), 100, 10)).values,
    );
    expect((await train(momentum8bit(), 100, 10)).values).toEqual(
      (await train(sgd({ momentum: 0.9 }), 100, 10)).values,
    );
    expect((await train(lion8bit(), 100, 10)).values).toEqual(
      (await train(lion(), 100, 10)).values,
    );
  });

  test('stay near their 32-bit twins above it', async () => {
    // Neighbours of the map are 1.4 % of the block's maximum apart in its upper decade, so a moment
    // is off by 0.7 % of the maximum at most, and a path of 10 steps by a few percent of its
    // length.
    for (const [eight, full] of [
      [adamw8bit(), adamw()],
      [momentum8bit(), sgd({ momentum: 0.9 })],
    ] as const) {
      const path = (await train(full, 5000, 10)).values;
      expect(furthest((await train(eight, 5000, 10)).values, path)).toBeLessThan(
        0.05 * furthest(path, new Float32Array(5000).fill(0.5)),
      );
    }
  });

  test('Adam and AdamW are one, as in bitsandbytes', async () => {
    expect((await train(adam8bit(), 5000, 3)).values).toEqual(
      (await train(adamw8bit(), 5000, 3)).values,
    );
  });

  test('momentum starts with the gradient itself', async () => {
    const { values } = await train(momentum8bit(), 4096, 1);
    const expected = Float32Array.from(
      { length: 4096 },
      (_, i) => 0.5 - 1e-3 * (Math.fround(Math.sin(i) * (1 + (i % 10))) + 0.01 * 0.5),
    );
    expect(furthest(values, expected)).toBeLessThan(1e-7);
  });
});
