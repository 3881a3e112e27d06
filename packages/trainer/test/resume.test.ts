import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { loadAdapter, saveAdapter } from '@peft/core';
import { deviceStateStore, type StateStore } from '@peft/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  classification,
  folderCheckpointStore,
  memoryCheckpointStore,
  predict,
  train,
  type CheckpointStore,
} from '../src/index.js';
import { trainPart } from './train-part.js';
import { adapterBytes, tinyData, tinyModel, tinyRun, tinyValidation } from './tiny-run.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-trainer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a run that is aborted and resumed', () => {
  it('ends with the very bytes of one that was not, wherever it was aborted', async () => {
    const whole = await trainPart(memoryCheckpointStore());
    expect(whole.result).toMatchObject({ reason: 'completed', step: 12 });
    for (const abortAt of [1, 3, 5, 6, 7, 11]) {
      const store = folderCheckpointStore(join(folder, `at-${abortAt}`));
      const part = await trainPart(store, { abortAt });
      expect(part.result, `aborted at ${abortAt}`).toMatchObject({
        reason: 'aborted',
        step: abortAt,
      });
      expect(part.events.at(-1)).toMatchObject({ type: 'run/ended', reason: 'aborted' });
      const rest = await trainPart(store);
      expect(rest.events[0]).toMatchObject({ type: 'run/started', resumedAtStep: abortAt });
      expect(rest.result).toMatchObject({
        reason: 'completed',
        step: 12,
        best: whole.result.best!,
        selected: whole.result.selected,
      });
      expect(rest.bytes, `aborted at ${abortAt}`).toEqual(whole.bytes);
    }
  });

  it('does so with optimiser state that is paged, and leaves no tensor behind', async () => {
    const paged = (): StateStore => deviceStateStore({ residentBytes: 4096, pageBytes: 1024 });
    const whole = await trainPart(memoryCheckpointStore(), { stateStore: paged() });
    const tensors = tf.memory().numTensors;
    const store = folderCheckpointStore(join(folder, 'on-device'));
    await trainPart(store, { abortAt: 5, stateStore: paged() });
    const rest = await trainPart(store, { stateStore: paged() });
    expect(rest.events[0]).toMatchObject({ type: 'run/started', resumedAtStep: 5 });
    expect(rest.bytes).toEqual(whole.bytes);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  it('does so with a method that remembers more than its parameters', async () => {
    const method = () =>
      adalora({
        initialRank: 3,
        targetRank: 1,
        totalSteps: 12,
        initialSteps: 1,
        finalSteps: 3,
        targets: { roles: ['attention.query', 'attention.value'] },
      });
    let adapters = 0;
    const run = async (store: CheckpointStore, abortAt?: number) => {
      const model = await tinyModel('bert', method());
      const controller = new AbortController();
      const { request } = tinyRun(model, {
        store,
        signal: controller.signal,
        options: { resume: true },
      });
      request.bus!.listen(
        (event) => event.type === 'step/completed' && event.step === abortAt && controller.abort(),
      );
      await train(request);
      const place = join(folder, `adapter-${(adapters += 1)}`);
      await saveAdapter(model, 'default', place);
      model.dispose();
      return ['adapter_config.json', 'adapter_model.safetensors'].map((file) =>
        readFileSync(join(place, file), 'latin1'),
      );
    };
    const whole = await run(memoryCheckpointStore());
    expect(whole[0]).toContain('false'); // some directions were dropped
    for (const abortAt of [2, 6, 10]) {
      const store = folderCheckpointStore(join(folder, `adalora-at-${abortAt}`));
      await run(store, abortAt);
      expect(await run(store), `aborted at ${abortAt}`).toEqual(whole);
    }
  });

  it.each(['best', 'uniform-soup'] as const)(
    'writes the weights that %s chose whole, whatever ranks were dropped since',
    async (select) => {
      const method = () =>
        adalora({
          initialRank: 3,
          targetRank: 1,
          totalSteps: 12,
          initialSteps: 1,
          finalSteps: 3,
          targets: { roles: ['attention.query', 'attention.value'] },
        });
      const model = await tinyModel('bert', method());
      const { evaluate, validation } = tinyValidation(model, 0.2);
      let checks = 0;
      // Early checks win: no ranks were dropped then.
      const declining = async (signal?: AbortSignal) => ({
        ...(await evaluate(signal)),
        metrics: { accuracy: 1 - (checks += 1) / 100 },
      });
      const { request } = tinyRun(model, {
        evaluate: declining,
        options: { validation, topK: 2, select },
      });
      const { selected } = await train(request);
      expect(Math.max(...selected.steps)).toBeLessThan(6);
      const data = tinyData();
      const before = await predict(model, classification({ classes: 2 }), data);
      await saveAdapter(model, 'default', join(folder, select));
      model.deleteAdapter('default');
      await loadAdapter(model, join(folder, select), { methods: [adalora] });
      const after = await predict(model, classification({ classes: 2 }), data);
      expect(after.predictions.map((row) => [...row])).toEqual(
        before.predictions.map((row) => [...row]),
      );
      model.dispose();
    },
  );

  it('gives up the step that it was in, and does it again', async () => {
    const whole = await trainPart(memoryCheckpointStore(), { select: 'last' });
    const store = folderCheckpointStore(folder);
    const part = await trainPart(store, { select: 'last', abortAt: 4, inMicroBatch: true });
    expect(part.result.reason).toBe('aborted');
    const rest = await trainPart(store, { select: 'last' });
    expect(rest.bytes).toEqual(whole.bytes);
  });

  it('may be aborted again and again, and during a validation', async () => {
    const whole = await trainPart(memoryCheckpointStore());
    const store = folderCheckpointStore(folder);
    for (const abortAt of [2, 3, 6, 9]) await trainPart(store, { abortAt });
    const model = await tinyModel();
    const { evaluate, validation } = tinyValidation(model);
    const controller = new AbortController();
    const { request } = tinyRun(model, {
      store,
      signal: controller.signal,
      options: { validation, topK: 2, resume: true },
      evaluate: (signal) => (controller.abort(), evaluate(signal)),
    });
    // the check of step 9 was still to be made
    expect(await train(request)).toMatchObject({ reason: 'aborted', step: 9 });
    model.dispose();
    expect((await trainPart(store)).bytes).toEqual(whole.bytes);
  });

  it('has its last weights when aborted while the soup was made, its soup when resumed', async () => {
    const store = memoryCheckpointStore();
    const whole = await trainPart(store);
    const model = await tinyModel();
    const { evaluate, validation } = tinyValidation(model);
    const controller = new AbortController();
    const { request } = tinyRun(model, {
      store,
      signal: controller.signal,
      options: { validation, topK: 2, resume: true },
      evaluate: (signal) => (controller.abort(), evaluate(signal)),
    });
    expect(await train(request)).toMatchObject({
      reason: 'aborted',
      step: 12,
      selected: { steps: [] },
    });
    const last = await store.open(12);
    expect(adapterBytes(model)).toEqual(
      Object.fromEntries(
        last.parameters.map(({ name, read }) => [
          name.slice('default/'.length),
          Buffer.from(read()).toString('hex'),
        ]),
      ),
    );
    model.dispose();
    expect((await trainPart(store)).bytes).toEqual(whole.bytes);
  });

  it('ends at once, with the same weights, when it was over already', async () => {
    const store = folderCheckpointStore(folder);
    const whole = await trainPart(store);
    const again = await trainPart(store);
    expect(again.events.filter(({ type }) => type === 'step/completed')).toEqual([]);
    expect(again.bytes).toEqual(whole.bytes);
  });

  it('leaves no tensor behind', async () => {
    const model = await tinyModel();
    // the engine unpacks weights when they are first used
    await predict(model, classification({ classes: 2 }), tinyData());
    const before = tf.memory().numTensors;
    const store = memoryCheckpointStore();
    const controller = new AbortController();
    const { request } = tinyRun(model, { store, signal: controller.signal });
    request.bus!.listen(({ type }) => type === 'step/completed' && controller.abort());
    await train(request);
    await train(tinyRun(model, { store, options: { resume: true } }).request);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
