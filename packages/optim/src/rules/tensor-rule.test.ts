/**
 * Each optimiser's tensor operations against its loop over arrays, from the same start with the
 * same gradients.
 */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { adam, adamw } from './adamw.js';
import { deviceStateStore } from '../state/device-state-store.js';
import { lion } from './lion.js';
import { memoryStateStore, type StateStore } from '../state/state-store.js';
import type { Optimizer } from './optimizer.js';
import { sgd } from './sgd.js';
import { stateTensors } from '../state/state-tensors.js';

beforeAll(() => tf.setBackend('cpu'));

const LEARNING_RATE = 1e-2;
const shapes = { vector: [5], matrix: [40, 50], long: [3001], scalar: [] };
const groups = [
  { learningRateScale: 1, weightDecay: 0.01 },
  { learningRateScale: 0.5, weightDecay: 0 },
];
const noise = (seed: number, length: number, scale: number): Float32Array =>
  Float32Array.from(
    { length },
    (_, i) => scale * Math.sin(seed * 12.9898 + i * 78.233) * 10 ** (((i + seed) % 4) - 2),
  );

async function run(
  optimizer: Optimizer,
  steps: number,
  store: StateStore,
): Promise<{ values: number[]; state: number[] }> {
  const parameters = Object.entries(shapes).map(([name, shape], i) => ({
    name,
    variable: tf.tidy(() =>
      tf.variable(tf.tensor(noise(i, tf.util.sizeFromShape(shape), 1), shape)),
    ),
    group: groups[i % 2]!,
  }));
  const state = optimizer.init(parameters, { store });
  for (let t = 0; t < steps; t += 1) {
    const gradients = Object.fromEntries(
      parameters.map(({ name, variable }, i) => [name, noise(100 * t + i, variable.size, 3)]),
    );
    await optimizer.update(parameters, gradients, state, {
      learningRate: LEARNING_RATE,
      gradientScale: 0.37,
    });
  }
  const values = parameters.flatMap(({ variable }) => [...variable.dataSync()]);
  const saved = (await stateTensors(state))
    .filter(({ dtype }) => dtype === 'F32')
    .flatMap((tensor) => [...new Float32Array(tensor.read().slice().buffer)]);
  state.dispose();
  tf.dispose(parameters.map(({ variable }) => variable));
  return { values, state: saved };
}

const furthest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
const largest = (a: readonly number[]): number =>
  furthest(
    a,
    a.map(() => 0),
  );

const optimizers = {
  adamw: adamw(),
  adam: adam({ epsilon: 1e-6 }),
  sgd: sgd(),
  momentum: sgd({ momentum: 0.9 }),
  nesterov: sgd({ momentum: 0.9, nesterov: true }),
  lion: lion(),
};

/**
 * Both forms round to float32: the arrays once for each stored value, the tensors after every
 * operation, of which the largest contribute.
 */
const bound = (steps: number, values: readonly number[]): number =>
  2 * steps * 2 ** -23 * largest(values);

describe.each(Object.entries(optimizers))('%s in tensor operations', (_name, optimizer) => {
  test.each([1, 20])(
    'is what the loop over arrays computes, to two units in the last place a step: %i steps',
    async (steps) => {
      const array = await run(optimizer, steps, memoryStateStore());
      const tensor = await run(optimizer, steps, deviceStateStore({ pageBytes: 8192 }));
      expect(furthest(array.values, tensor.values)).toBeLessThanOrEqual(bound(steps, array.values));
      expect(furthest(array.state, tensor.state)).toBeLessThanOrEqual(bound(steps, array.state));
      expect(largest(array.values)).toBeGreaterThan(1); // values of unlike sizes were compared
    },
  );
});
