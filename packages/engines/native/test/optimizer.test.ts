/**
 * AdamW by the addon against the loop in JavaScript: the same bytes, whatever the instructions, the
 * length and the store.
 */
import * as tf from '@tensorflow/tfjs';
import { arrayKernel } from '@peft/ops';
import { adamw, memoryStateStore, pagedStateStore } from '@peft/optim';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNativeEngine } from '../src/index.js';
import { describeEachSet, randomFloats } from './addon.js';

const LENGTHS = [0, 1, 7, 33, 20_001];

/** Parameters after five updates on the current backend. */
async function train(paged: boolean): Promise<number[][]> {
  const parameters = LENGTHS.map((length, i) => ({
    name: `p${i}`,
    variable: tf.tidy(() => tf.variable(tf.tensor1d(randomFloats(length, i, 1)))),
    group: { learningRateScale: i === 2 ? 0.5 : 1, weightDecay: i / 100 },
  }));
  const optimizer = adamw({ beta2: 0.95 });
  const state = optimizer.init(parameters, {
    store: paged
      ? pagedStateStore({ residentBytes: 65_536, pageBytes: 16_384 })
      : memoryStateStore(),
  });
  for (let step = 0; step < 5; step += 1) {
    const gradients = Object.fromEntries(
      LENGTHS.map((length, i) => [
        `p${i}`,
        randomFloats(length, 100 * step + i, 1e-3 * 10 ** step),
      ]),
    );
    await optimizer.update(parameters, gradients, state, {
      learningRate: 0.01,
      gradientScale: 0.37,
    });
  }
  const values = parameters.map(({ variable }) => Array.from(variable.dataSync()));
  tf.dispose(parameters.map(({ variable }) => variable));
  state.dispose();
  return values;
}

describeEachSet('AdamW', (native, set) => {
  let expected: number[][];
  beforeAll(async () => {
    native.setInstructionSet(set);
    await tf.setBackend('cpu');
    expected = await train(false);
    await createNativeEngine().activate();
  });
  afterAll(async () => void (await tf.setBackend('cpu')));

  test('gives the bytes of the loop in JavaScript', async () => {
    expect(arrayKernel('PeftAdamW')).toBeDefined();
    expect(await train(false)).toEqual(expected);
  });
  test('gives them from paged state, too', async () => expect(await train(true)).toEqual(expected));
});
