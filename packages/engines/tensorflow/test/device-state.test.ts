/**
 * An adapter whose optimiser state is paged between TensorFlow's device and host memory, beside the
 * same one with its state on the host.
 */
import { lora } from '@peft/lora';
import { crossEntropy } from '@peft/ops';
import {
  adam,
  adamw,
  deviceStateStore,
  lion,
  memoryStateStore,
  restoreState,
  sgd,
  stateTensors,
  type DeviceStateStore,
  type OptimizerState,
  type StateStore,
} from '@peft/optim';
import { tinyModels } from '@peft/testing';
import { createTensorflowEngine, type TensorflowEngine } from '@peft/tensorflow';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingLibrary } from './missing-library.js';

const reason = missingLibrary();
const STEPS = 20;
const tiny = tinyModels()[0]!;
/** Of 11 kB of AdamW's state 8 may lie there, 6 of them for the three pages that pass. */
const paged = (): DeviceStateStore => deviceStateStore({ residentBytes: 8192, pageBytes: 2048 });
/** Between an update in float32 operations and one in float64, after 20 steps of 3e-3. */
const AGREEMENT = 5e-6;

interface Training {
  readonly state: OptimizerState;
  /** Does one more step; the loss before it. */
  step(): Promise<number>;
  values(): Float32Array;
  /** Goes on from another training's values and state. */
  resume(from: Training): void;
  readonly done: number;
  dispose(): void;
}

/** LoRA with dropout on every linear map, the same from the same seed. */
function start(
  engine: TensorflowEngine,
  store: StateStore,
  optimizer = adamw({ epsilon: 1e-6 }),
): Training {
  const model = tiny.open(engine);
  model.addAdapter('default', lora({ rank: 4, targets: 'all-linear', dropout: 0.1 }), { seed: 5 });
  const parameters = model.trainables().map(({ name, value }, i) => ({
    name,
    variable: value,
    group: { learningRateScale: i % 2 === 0 ? 1 : 0.9, weightDecay: 0.01 },
  }));
  const state = optimizer.init(parameters, { store });
  const training = {
    state,
    done: 0,
    async step() {
      training.done += 1;
      await state.store.prefetch();
      const forward = () =>
        crossEntropy(
          model.forward(tiny.batch, { training: true, randomParts: [3, training.done] }).logits!,
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
        { learningRate: 3e-3, gradientScale: 0.5 },
      );
      const [loss] = value.dataSync();
      tf.dispose([value, grads]);
      return loss!;
    },
    values: () => Float32Array.from(parameters.flatMap(({ variable }) => [...variable.dataSync()])),
    async resume(from: Training) {
      const values = from.values();
      let at = 0;
      for (const { variable } of parameters)
        tf.tidy(() =>
          variable.assign(tf.tensor(values.slice(at, (at += variable.size)), variable.shape)),
        );
      await restoreState(state, await stateTensors(from.state));
      training.done = from.done;
    },
    dispose() {
      state.dispose();
      model.dispose();
    },
  };
  return training;
}

async function trained(
  training: Training,
  steps = STEPS,
): Promise<{ losses: number[]; values: Float32Array; state: string[] }> {
  const losses: number[] = [];
  for (let n = 0; n < steps; n += 1) losses.push(await training.step());
  return {
    losses,
    values: training.values(),
    state: (await stateTensors(training.state)).map(
      ({ name, read }) => `${name} ${Buffer.from(read()).toString('base64')}`,
    ),
  };
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe.skipIf(reason)(
  `optimiser state on TensorFlow's device${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    let engine: TensorflowEngine;
    beforeAll(async () => {
      engine = await createTensorflowEngine({ precision: 'float32' });
      await engine.activate();
    });
    afterAll(async () => void (await tf.setBackend('cpu')));

    test(
      'with most of it paged trains the adapter as with all of it there, to the bit, and ' +
        `as on the host within the error of float32, step by step over ${STEPS} steps`,
      async () => {
        const [host, all, some] = [
          memoryStateStore(),
          deviceStateStore({ pageBytes: 2048 }),
          paged(),
        ].map((store) => start(engine, store));
        const [onHost, whole, parts] = [
          await trained(host!),
          await trained(all!),
          await trained(some!),
        ];
        const { residentBytes, hostBytes, totalBytes } = some!.state.store as DeviceStateStore;
        expect(totalBytes).toBe(8 * parts.values.length);
        expect(residentBytes).toBeLessThanOrEqual(2048); // the others passed through
        expect(residentBytes).toBeGreaterThan(0);
        expect(hostBytes).toBe(totalBytes - residentBytes);
        expect(parts).toEqual(whole);
        expect(largestDifference(whole.losses, onHost.losses)).toBeLessThan(AGREEMENT);
        expect(largestDifference(whole.values, onHost.values)).toBeLessThan(AGREEMENT);
        expect(Math.min(...whole.losses)).toBeLessThan(0.9 * whole.losses[0]!); // it learns, under dropout
        for (const training of [host, all, some]) training!.dispose();
      },
    );

    test.each(
      [adam(), sgd({ momentum: 0.9, nesterov: true }), lion()].map(
        (optimizer) => [optimizer.name, optimizer] as const,
      ),
    )('%s trains there as on the host', async (_name, optimizer) => {
      const [host, device] = [
        start(engine, memoryStateStore(), optimizer),
        start(engine, paged(), optimizer),
      ];
      const [onHost, onDevice] = [await trained(host), await trained(device)];
      expect(largestDifference(onDevice.losses, onHost.losses)).toBeLessThan(AGREEMENT);
      expect(largestDifference(onDevice.values, onHost.values)).toBeLessThan(AGREEMENT);
      host.dispose();
      device.dispose();
    });

    test('resumes from a checkpoint to the very bytes of a run without a break', async () => {
      const whole = start(engine, paged());
      const expected = await trained(whole);
      const first = start(engine, paged());
      await trained(first, 9);
      const second = start(engine, paged());
      await second.state.store.prefetch();
      second.resume(first);
      const got = await trained(second, STEPS - 9);
      expect({ ...got, losses: undefined }).toEqual({ ...expected, losses: undefined });
      expect(got.losses).toEqual(expected.losses.slice(9));
      for (const training of [whole, first, second]) training.dispose();
    });

    test('does not grow over 300 steps, in tfjs or in TensorFlow, and leaves nothing behind', async () => {
      const count = (): object => ({
        onDevice: engine.memory().tensors,
        inTfjs: tf.memory().numTensors,
      });
      const before = count();
      const training = start(engine, paged());
      await trained(training, 2);
      const during = count();
      await trained(training, 298);
      expect(count()).toEqual(during);
      await training.state.store.prefetch();
      training.dispose();
      expect(count()).toEqual(before);
    });
  },
);
