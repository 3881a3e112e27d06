import * as tf from '@tensorflow/tfjs';
import { runKernel } from '@peft/ops';
import { adamw, deviceStateStore } from '@peft/optim';
import { seededValues } from '@peft/testing';
import { expect, test } from 'vitest';
import { describeOnWebgpu } from './with-driver.js';

const SHAPES = [[70], [33, 9], [5], [40, 40]];

/** Parameters after some updates, with two learning rates side by side. */
async function trained(): Promise<Float32Array[]> {
  const parameters = SHAPES.map((shape, i) => ({
    name: `p${i}`,
    variable: tf.tidy(() =>
      tf.variable(
        tf.tensor(
          seededValues(
            `p${i}`,
            shape.reduce((a, b) => a * b),
          ),
          shape,
        ),
      ),
    ),
    group: { learningRateScale: 1 + (i % 2), weightDecay: 0.01 * i },
  }));
  const state = adamw().init(parameters, { store: deviceStateStore() });
  for (let step = 0; step < 4; step += 1) {
    const gradients = Object.fromEntries(
      parameters.map(({ name, variable }) => [
        name,
        seededValues(`${name} ${step}`, variable.size),
      ]),
    );
    await adamw().update(parameters, gradients, state, { learningRate: 1e-2, gradientScale: 0.5 });
  }
  const made = await Promise.all(parameters.map(({ variable }) => variable.data<'float32'>()));
  state.dispose();
  tf.dispose(parameters.map(({ variable }) => variable));
  return made;
}

describeOnWebgpu('AdamW on the device', (engine) => {
  test('updates as the formula in tensor operations does', async () => {
    const kernel = await trained();
    let reference!: Promise<Float32Array[]>;
    await tf.setBackend('cpu');
    try {
      reference = trained();
      for (const [i, values] of (await reference).entries())
        expect(
          Math.max(...values.map((value, n) => Math.abs(value - kernel[i]![n]!))),
        ).toBeLessThan(1e-6);
    } finally {
      await engine().activate();
    }
  });

  test('is one kernel where numbers are shared', () => {
    const inputs = Object.fromEntries(
      ['values', 'gradient', 'm', 'v'].map((name) => [
        name,
        tf.tensor1d(seededValues(name, 100).map(Math.abs)),
      ]),
    );
    const numbers = Object.fromEntries(
      Object.entries({
        stepSize: 0.1,
        rootCorrection: 0.5,
        shrink: 0.9,
        newFirst: 0.1,
        beta2: 0.99,
        newSecond: 0.01,
        epsilon: 1e-8,
      }).map(([name, value]) => [name, tf.scalar(value)]),
    );
    const before = engine().usage().work;
    runKernel('PeftAdamWTensors', { ...inputs, ...numbers }, {}, () => []);
    expect(engine().usage().work.dispatches - before.dispatches).toBe(1);
  });
});
