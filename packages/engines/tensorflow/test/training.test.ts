/** The same adapter trained on three engines, and a thousand steps without a leak. */
import { lora } from '@peft/lora';
import { createNativeEngine } from '@peft/native';
import { crossEntropy, memorySource, type Engine } from '@peft/ops';
import { adamw } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { tinyModels, type TinyModel } from '@peft/testing';
import { createTensorflowEngine } from '@peft/tensorflow';
import * as tf from '@tensorflow/tfjs';
import { afterAll, describe, expect, test } from 'vitest';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();
const STEPS = 20;

interface Training {
  readonly step: () => Promise<number>;
  readonly values: () => Float32Array;
  readonly dispose: () => void;
}

/** LoRA with dropout on every linear map, the same from the same seed. */
function start(tiny: TinyModel, engine: Engine): Training {
  const model = tiny.open(engine);
  model.addAdapter('default', lora({ rank: 4, targets: 'all-linear', dropout: 0.1 }), { seed: 5 });
  const parameters = model.trainables().map(({ name, value }) => ({
    name,
    variable: value,
    group: { learningRateScale: 1, weightDecay: 0.01 },
  }));
  const optimizer = adamw({ epsilon: 1e-6 });
  const state = optimizer.init(parameters);
  let number = 0;
  return {
    step: async () => {
      number += 1;
      const forward = () =>
        crossEntropy(
          model.forward(tiny.batch, { training: true, randomParts: [3, number] }).logits!,
          tiny.labels,
        )
          .mean()
          .asScalar();
      const { value, grads } = tf.tidy(() =>
        tf.variableGrads(
          () => tf.tidy(forward),
          parameters.map(({ variable }) => variable),
        ),
      );
      await optimizer.update(
        parameters,
        Object.fromEntries(parameters.map(({ name, variable }) => [name, grads[variable.name]!])),
        state,
        { learningRate: 3e-3, gradientScale: 1 },
      );
      const [loss] = value.dataSync();
      tf.dispose([value, grads]);
      return loss!;
    },
    values: () => Float32Array.from(parameters.flatMap(({ variable }) => [...variable.dataSync()])),
    dispose: () => {
      state.dispose();
      model.dispose();
    },
  };
}

async function trained(
  tiny: TinyModel,
  engine: Engine,
): Promise<{ losses: number[]; values: Float32Array }> {
  await engine.activate();
  const training = start(tiny, engine);
  const losses: number[] = [];
  while (losses.length < STEPS) losses.push(await training.step());
  const values = training.values();
  training.dispose();
  return { losses, values };
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

/**
 * In float32, as engines add in other orders. AdamW divides by the gradient's size, so a parameter
 * with a tiny gradient moves by more than its error: the steps are 3e-3 each.
 */
const AGREEMENT = { loss: 5e-5, parameter: 5e-4 };

describe.skipIf(reason)(`training on TensorFlow${reason ? ` (skipped: ${reason})` : ''}`, () => {
  afterAll(async () => void (await tf.setBackend('cpu')));

  test.each(tinyModels().map((tiny) => [tiny.name, tiny] as const))(
    `an adapter of the %s is the one that native and portable train, step by step over ${STEPS} steps`,
    async (_name, tiny) => {
      const own = await trained(tiny, await createTensorflowEngine({ precision: 'float32' }));
      for (const engine of [
        createNativeEngine({ precision: 'float32' }),
        await createPortableEngine(),
      ]) {
        const other = await trained(tiny, engine);
        expect(
          largestDifference(own.losses, other.losses),
          `losses of ${engine.name}`,
        ).toBeLessThan(AGREEMENT.loss);
        expect(
          largestDifference(own.values, other.values),
          `parameters of ${engine.name}`,
        ).toBeLessThan(AGREEMENT.parameter);
      }
      expect(Math.min(...own.losses)).toBeLessThan(0.9 * own.losses[0]!); // it learns, under dropout
    },
  );

  test('a thousand steps leave no tensor behind, in tfjs or in TensorFlow', async () => {
    const engine = await createTensorflowEngine();
    await engine.activate();
    const [before, inTfjs] = [engine.memory().tensors, tf.memory().numTensors];
    const training = start(tinyModels()[0]!, engine);
    await training.step();
    await training.step();
    const [during, duringInTfjs] = [engine.memory().tensors, tf.memory().numTensors];
    for (let n = 2; n < 1000; n += 1) await training.step();
    expect({ onDevice: engine.memory().tensors, inTfjs: tf.memory().numTensors }).toEqual({
      onDevice: during,
      inTfjs: duringInTfjs,
    });
    training.dispose();
    expect({ onDevice: engine.memory().tensors, inTfjs: tf.memory().numTensors }).toEqual({
      onDevice: before,
      inTfjs,
    });
  });

  test.each(['f32', 'bf16', 'f16', 'int8', 'nf4', 'fp4'] as const)(
    'products, rows and parts of a weight in %s leave nothing on the device',
    async (format) => {
      const engine = await createTensorflowEngine({ precision: 'bfloat16' });
      await engine.activate();
      const before = engine.memory().tensors;
      const weight = engine.freeze(memorySource('w', [6, 128], new Float32Array(768).fill(0.5)), {
        format,
        ...(format === 'nf4' && { doubleQuantization: true }),
      });
      const held = engine.memory().tensors;
      tf.tidy(() => {
        engine.linear(tf.ones([2, 128]), weight, tf.ones([6]));
        engine.linearInputGradient(tf.ones([2, 6]), weight);
        engine.gather(weight, Int32Array.of(0, 5));
        engine.dequantize(weight);
        if (!['f32', 'bf16', 'f16'].includes(format)) engine.quantizedParts(weight);
      });
      expect(engine.memory().tensors).toBe(held);
      weight.dispose();
      expect(engine.memory().tensors).toBe(before);
    },
  );
});
