import * as tf from '@tensorflow/tfjs';
import type { KernelConfig } from '@tensorflow/tfjs';
import type { PeftArrayKernels } from '@peft/ops';
import { beforeAll, describe, expect, test } from 'vitest';
import { adam, adamw } from './adamw.js';
import { lion } from './lion.js';
import type { TrainableParameter } from '../parameters/parameter.js';
import { sgd } from './sgd.js';

beforeAll(() => tf.setBackend('cpu'));

const parameter = (
  name: string,
  values: number[],
  group = { learningRateScale: 1, weightDecay: 0 },
): TrainableParameter => ({
  name,
  variable: tf.tidy(() => tf.variable(tf.tensor1d(values))),
  group,
});
const values = ({ variable }: TrainableParameter): number[] => [...variable.dataSync()];

describe('AdamW', () => {
  test("moves by the learning rate in its first step, whatever the gradient's size", async () => {
    // m̂/√v̂ = g/|g| in step 1; ε is negligible.
    const p = parameter('p', [1, 1, 1]);
    const optimizer = adamw();
    await optimizer.update([p], { p: tf.tensor1d([1e-3, 5, -2e4]) }, optimizer.init([p]), {
      learningRate: 0.25,
    });
    expect(values(p)).toEqual([
      expect.closeTo(0.75, 4),
      expect.closeTo(0.75, 6),
      expect.closeTo(1.25, 6),
    ]);
  });

  test('decays the weight apart from the gradient: with a zero gradient θ becomes θ(1 − lr·λ)', async () => {
    const p = parameter('p', [2], { learningRateScale: 0.5, weightDecay: 0.1 });
    const optimizer = adamw();
    await optimizer.update([p], { p: tf.tensor1d([0]) }, optimizer.init([p]), {
      learningRate: 0.5,
    });
    expect(values(p)[0]).toBe(Math.fround(2 * (1 - 0.25 * 0.1)));
  });

  test('differs from Adam, which adds the decay to the gradient: a zero gradient still makes a full step', async () => {
    const p = parameter('p', [2], { learningRateScale: 1, weightDecay: 0.1 });
    const optimizer = adam();
    await optimizer.update([p], { p: tf.tensor1d([0]) }, optimizer.init([p]), {
      learningRate: 0.5,
    });
    expect(values(p)[0]).toBeCloseTo(1.5, 6);
  });

  test('leaves a parameter without a gradient, its moments and its step count alone', async () => {
    const a = parameter('a', [1]);
    const b = parameter('b', [1]);
    const optimizer = adamw();
    const state = optimizer.init([a, b]);
    await optimizer.update([a, b], { a: Float32Array.of(1) }, state, { learningRate: 0.1 });
    expect(values(b)).toEqual([1]);
    expect([...state.steps]).toEqual([
      ['a', 1],
      ['b', 0],
    ]);
  });

  test('takes a gradient scale as if the gradients had been multiplied, to the last bit', async () => {
    const gradient = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) * 10 ** (i % 7));
    for (const optimizer of [adamw(), adam(), sgd({ momentum: 0.9, nesterov: true }), lion()]) {
      const results = await Promise.all(
        [0.37, 1].map(async (gradientScale) => {
          const p = parameter(
            'p',
            Array.from({ length: 64 }, (_, i) => i / 64),
            { learningRateScale: 1, weightDecay: 0.01 },
          );
          const state = optimizer.init([p]);
          const own = gradientScale === 1 ? gradient.map((g) => g * 0.37) : gradient;
          for (let step = 0; step < 3; step += 1)
            await optimizer.update([p], { p: own }, state, { learningRate: 0.01, gradientScale });
          return values(p);
        }),
      );
      expect(results[0]).toEqual(results[1]);
    }
  });

  test("lets the engine's kernel do the arithmetic where there is one", async () => {
    const calls: PeftArrayKernels['PeftAdamW'][] = [];
    const kernelFunc: KernelConfig['kernelFunc'] = ({ attrs }) => {
      // arrayKernel of @peft/ops hands its arrays over as attributes, which tfjs types as JSON
      const attributes = attrs as unknown as PeftArrayKernels['PeftAdamW'];
      calls.push(attributes);
      attributes.values.fill(7);
      return [];
    };
    tf.registerKernel({ kernelName: 'PeftAdamW', backendName: tf.getBackend(), kernelFunc });
    try {
      const p = parameter('p', [1, 2, 3]);
      const optimizer = adamw({ beta1: 0.5, beta2: 0.75 });
      await optimizer.update([p], { p: Float32Array.of(1, -1, 2) }, optimizer.init([p]), {
        learningRate: 0.1,
        gradientScale: 0.5,
      });
      expect(values(p)).toEqual([7, 7, 7]);
      expect(calls).toMatchObject([
        {
          stepSize: 0.2,
          rootCorrection: 0.5,
          shrink: 1,
          beta1: 0.5,
          beta2: 0.75,
          epsilon: 1e-8,
          gradientScale: 0.5,
        },
      ]);
    } finally {
      tf.unregisterKernel('PeftAdamW', tf.getBackend());
    }
  });

  test('leaves no tensor behind and works with variables of any shape', async () => {
    const variables = [
      tf.tidy(() => tf.variable(tf.ones([2, 3, 4]))),
      tf.tidy(() => tf.variable(tf.scalar(1))),
      tf.tidy(() => tf.variable(tf.zeros([0]))),
    ];
    const parameters = variables.map((variable, i) => ({
      name: `p${i}`,
      variable,
      group: { learningRateScale: 1, weightDecay: 0 },
    }));
    const gradients = Object.fromEntries(
      parameters.map(({ name, variable }) => [name, tf.onesLike(variable)]),
    );
    const optimizer = adamw();
    const state = optimizer.init(parameters);
    const before = tf.memory().numTensors;
    for (let step = 0; step < 3; step += 1)
      await optimizer.update(parameters, gradients, state, { learningRate: 0.1 });
    expect(tf.memory().numTensors).toBe(before);
    expect(variables.map(({ shape }) => shape)).toEqual([[2, 3, 4], [], [0]]);
    state.dispose();
    tf.dispose([variables, gradients]);
    expect(tf.memory().numTensors).toBe(before - 6);
  });
});

describe('an update that cannot be done changes nothing and says why', () => {
  const p = parameter('encoder.bias', [1, 2]);
  const optimizer = adamw();
  const attempt = (
    gradients: Record<string, tf.Tensor | Float32Array>,
    own = optimizer,
    made = own,
  ): Promise<void> => own.update([p], gradients, made.init([p]), { learningRate: 0.1 });

  test('gradient of another shape', async () => {
    await expect(
      attempt({ 'encoder.bias': tf.zeros([2, 1]) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adamw: the gradient of "encoder.bias" is float32 [2, 1], but the parameter is float32 [2].]`,
    );
    await expect(
      attempt({ 'encoder.bias': new Float32Array(3) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adamw: the gradient of "encoder.bias" is 3 values, but the parameter is float32 [2].]`,
    );
  });

  test('gradient of a parameter that is not there', async () => {
    await expect(
      attempt({ 'encoder.bias': new Float32Array(2), 'encoder.biass': new Float32Array(2) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: there is a gradient for "encoder.biass", which is not among the 1 parameters.
        hint: Did you mean "encoder.bias"?]
    `);
    expect(values(p)).toEqual([1, 2]);
  });

  test('state of another optimiser', async () => {
    await expect(attempt({}, adamw(), adam())).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: the state was made by adam.
        hint: Pass the state that this optimiser's init returned.]
    `);
  });

  test('parameter that init never saw', async () => {
    const state = optimizer.init([]);
    await expect(
      optimizer.update([p], { 'encoder.bias': new Float32Array(2) }, state, { learningRate: 0.1 }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: there is no state for the parameter "encoder.bias".
        hint: Pass every parameter that will be updated to init first.]
    `);
  });

  test('learning rate that is not a number', async () => {
    const state = optimizer.init([p]);
    await expect(
      optimizer.update([p], {}, state, { learningRate: Number.NaN }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adamw: learningRate must be a finite number, got NaN.]`,
    );
  });

  test('two parameters of one name, or one of whole numbers', () => {
    expect(() => optimizer.init([p, p])).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: two parameters are named "encoder.bias".
        hint: Give each trainable parameter its own name; state is kept by name.]
    `);
    const whole = { ...p, variable: tf.tidy(() => tf.variable(tf.tensor1d([1], 'int32'))) };
    expect(() => optimizer.init([whole])).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: adamw: the parameter "encoder.bias" is int32, but only float32 trains.]`,
    );
  });

  test('state that was disposed', async () => {
    const state = optimizer.init([p]);
    state.dispose();
    state.dispose();
    await expect(
      optimizer.update([p], { 'encoder.bias': new Float32Array(2) }, state, { learningRate: 0.1 }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: the optimiser state was disposed and is used again.
        hint: Make a new state with optimizer.init(parameters).]
    `);
  });
});
