/** Runs on an engine of which nothing can be read at once, as of one on a device. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { saveAdapter, type MethodSpec, type TrainEvent } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { createOptimizer } from '@peft/optim';
import { actAsDevice, type ActedDevice } from '@peft/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  classification,
  folderCheckpointStore,
  memoryCheckpointStore,
  predict,
  train,
  type CheckpointStore,
  type TrainRequest,
} from '../src/index.js';
import {
  mixedMethod,
  tinyData,
  tinyEngine,
  tinyModel,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

let folder: string;
let device: ActedDevice | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-device-'));
});
afterEach(() => {
  device?.restore();
  device = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const roles = { roles: ['attention.query', 'attention.value'] } as const;
const methods: Readonly<Record<string, () => MethodSpec>> = {
  'LoRA with dropout, IA3 and biases': mixedMethod,
  IA3: () => ia3({ targets: roles }),
  AdaLoRA: () =>
    adalora({
      initialRank: 3,
      targetRank: 1,
      totalSteps: 12,
      initialSteps: 1,
      finalSteps: 3,
      targets: roles,
    }),
};

type Change = Partial<TrainRequest<never>>;

/** Losses of the steps, readings between them, and what the adapter's file holds. */
async function run(method: () => MethodSpec, changes: Change = {}, abortAt?: number) {
  const tensors = tf.memory().numTensors;
  const model = await tinyModel('bert', method());
  const controller = new AbortController();
  const { request, events } = tinyRun(model, {
    signal: controller.signal,
    ...(changes as object),
    options: { resume: true, ...changes.options },
  });
  const readings: number[] = [];
  request.bus!.listen((event: TrainEvent) => {
    if (event.type !== 'step/completed') return;
    readings.push(device?.reads ?? 0);
    if (event.step === abortAt) controller.abort();
  });
  const { reason } = await train(request);
  const place = mkdtempSync(join(folder, 'adapter-'));
  await saveAdapter(model, 'default', place, { overwrite: true });
  const { predictions } = await predict(model, classification({ classes: 2 }), tinyData(6, 13));
  model.dispose();
  expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
  return {
    reason,
    losses: events.flatMap((event) => (event.type === 'step/completed' ? [event.loss] : [])),
    readings: readings.slice(1).map((count, i) => count - readings[i]!),
    predictions: predictions.map((each) => [...each]).flat(),
    bytes: readFileSync(join(place, 'adapter_model.safetensors'), 'latin1'),
  };
}

const act = async (): Promise<void> => {
  device = actAsDevice(await tinyEngine());
};

describe('a run on an engine whose memory is that of a device', () => {
  test.each(Object.entries(methods))(
    '%s learns what it learns in host memory, and nothing is read at once',
    async (_, method) => {
      const onHost = await run(method);
      await act();
      const onDevice = await run(method);
      expect(onDevice.losses).toHaveLength(12);
      onDevice.losses.forEach((loss, i) => expect(loss).toBeCloseTo(onHost.losses[i]!, 4));
      onDevice.predictions.forEach((each, i) =>
        expect(each).toBeCloseTo(onHost.predictions[i]!, 3),
      );
    },
  );

  test('a step reads once: its losses and the squares of its gradients', async () => {
    await act();
    const { readings } = await run(mixedMethod, { options: { maxSteps: 5 } });
    expect(readings).toEqual([1, 1, 1, 1]);
  });

  test('an optimiser that computes on the host reads parameters and gradients, and no more', async () => {
    await act();
    const method = () => ia3({ targets: roles });
    const { readings } = await run(method, {
      optimizer: createOptimizer('adafactor'),
      options: { maxSteps: 3 },
    });
    const model = await tinyModel('bert', method());
    const trained = model.trainables().length;
    model.dispose();
    readings.forEach((count) => expect(count).toBeLessThanOrEqual(1 + 2 * trained));
  });

  test('it is scored, stopped and resumed to the bytes of a run without a break', async () => {
    await act();
    const validated = async (store: CheckpointStore, abortAt?: number) => {
      const model = await tinyModel('bert', mixedMethod());
      const { evaluate, validation } = tinyValidation(model);
      const controller = new AbortController();
      const { request } = tinyRun(model, {
        store,
        evaluate,
        signal: controller.signal,
        options: { validation, resume: true, select: 'greedy-soup', topK: 2 },
      });
      request.bus!.listen(
        (event) => event.type === 'step/completed' && event.step === abortAt && controller.abort(),
      );
      const { reason } = await train(request);
      const place = mkdtempSync(join(folder, 'adapter-'));
      await saveAdapter(model, 'default', place, { overwrite: true });
      model.dispose();
      return {
        reason,
        bytes: readFileSync(join(place, 'adapter_model.safetensors'), 'latin1'),
      };
    };
    const whole = await validated(memoryCheckpointStore());
    const store = folderCheckpointStore(join(folder, 'resumed'));
    expect((await validated(store, 5)).reason).toBe('aborted');
    expect(await validated(store)).toEqual(whole);
  });

  test('a gradient that is no number leaves the step out', async () => {
    await act();
    const model = await tinyModel('bert', ia3({ targets: roles }));
    const { request, events } = tinyRun(model, { options: { maxSteps: 2 } });
    const task = classification({ classes: 2 });
    let calls = 0;
    await train({
      ...request,
      task: {
        ...task,
        loss: (output, batch) =>
          tf.mul(task.loss(output, batch), (calls += 1) === 1 ? Number.NaN : 1),
      },
    });
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'run/warned', code: 'PEFT_TRAIN_NOT_FINITE' }),
    );
    model.dispose();
  });
});
