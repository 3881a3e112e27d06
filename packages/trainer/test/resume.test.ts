import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { loadAdapter, saveAdapter } from '@peft/core';
import { adamw, cosineSchedule, deviceStateStore, lion, type StateStore } from '@peft/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  classification,
  folderCheckpointStore,
  memoryCheckpointStore,
  predict,
  train,
  type CheckpointStore,
  type TrainOptions,
} from '../src/index.js';
import {
  adapterBytes,
  mixedMethod,
  tinyData,
  tinyModel,
  tinyOrder,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-trainer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Trains a fresh model, with validation and soup, until `abortAt` steps are done or to the end. */
async function trainPart(
  store: CheckpointStore,
  {
    abortAt,
    inMicroBatch = false,
    stateStore,
    ...options
  }: TrainOptions & { abortAt?: number; inMicroBatch?: boolean; stateStore?: StateStore } = {},
) {
  const model = await tinyModel();
  const { evaluate, validation } = tinyValidation(model);
  const controller = new AbortController();
  const data = tinyData();
  let packed = 0;
  const { request, events } = tinyRun(model, {
    store,
    evaluate,
    signal: controller.signal,
    ...(stateStore && { stateStore }),
    ...(inMicroBatch && {
      data: {
        ...data,
        pack: (indices) => (
          (packed += 1) === 3 * abortAt! && setImmediate(() => controller.abort()),
          data.pack(indices)
        ),
      },
    }),
    options: { validation, topK: 2, resume: true, ...options },
  });
  if (!inMicroBatch)
    request.bus!.listen(
      (event) => event.type === 'step/completed' && event.step === abortAt && controller.abort(),
    );
  const result = await train(request);
  const bytes = adapterBytes(model);
  model.dispose();
  return { result, bytes, events };
}

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

  it('does so with optimiser state that is paged between device and host, and leaves no tensor behind', async () => {
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
    expect(await train(request)).toMatchObject({ reason: 'aborted', step: 9 }); // the check of step 9 was still to be made
    model.dispose();
    expect((await trainPart(store)).bytes).toEqual(whole.bytes);
  });

  it('has its last weights when it was aborted while the soup was made, and its soup when it is resumed', async () => {
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

describe('a run whose process is killed', () => {
  it('goes on from its last checkpoint to the very same bytes', async () => {
    const script = fileURLToPath(new URL('run-in-child.ts', import.meta.url));
    const run = (path: string, killAfter?: number) =>
      new Promise<string>((resolve) => {
        const child = spawn(
          process.execPath,
          ['--conditions=@peft/source', '--import', 'tsx', script, path],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          if (killAfter !== undefined && output.includes(`step ${killAfter}\n`))
            child.kill('SIGKILL');
        });
        child.on('close', (_code, signal) => resolve(`${output}${signal ?? ''}`));
      });
    const whole = await run(join(folder, 'whole'));
    const killed = await run(join(folder, 'killed'), 8);
    expect(killed).toMatch(/step 8\n.*SIGKILL$/s);
    expect(killed).not.toContain('adapter');
    const resumed = await run(join(folder, 'killed'));
    expect(resumed).toMatch(/^started at (6|8|12|16)\n/); // every 4 steps and at the ends of epochs; how far it came before the signal is chance
    expect(adapterLine(resumed)).toBe(adapterLine(whole));
  });
});

const adapterLine = (output: string): string => /^adapter (.+)$/m.exec(output)![1]!;

describe('a checkpoint folder', () => {
  it('holds the best and the last checkpoint, each a whole folder', async () => {
    const model = await tinyModel();
    const scores = [0.5, 0.9, 0.7, 0.6];
    let checks = 0;
    const evaluate = () =>
      Promise.resolve({ metrics: { made_up: scores[(checks += 1) - 1]! }, examples: 1 });
    const { request, events } = tinyRun(model, {
      evaluate,
      store: folderCheckpointStore(folder),
      options: {
        topK: 1,
        select: 'best',
        validation: { metric: 'made_up', direction: 'max', everyEpochs: 0.5 },
      },
    });
    await train(request);
    expect(readdirSync(folder).sort()).toEqual(['checkpoint-12', 'checkpoint-6']);
    expect(readdirSync(join(folder, 'checkpoint-6')).sort()).toEqual([
      'optimizer.safetensors',
      'parameters.safetensors',
      'trainer_state.json',
    ]);
    expect(
      events.filter((event) => event.type === 'checkpoint/saved').map(({ step }) => step),
    ).toEqual([3, 6, 9, 12]);
    expect(
      events.find((event) => event.type === 'checkpoint/saved' && event.step === 6),
    ).toMatchObject({ path: join(folder, 'checkpoint-6'), score: 0.9 });
    const state = JSON.parse(
      readFileSync(join(folder, 'checkpoint-12', 'trainer_state.json'), 'utf8'),
    ) as Record<string, unknown>;
    expect(state).toMatchObject({
      step: 12,
      epoch: 1,
      stepInEpoch: 6,
      best: { step: 6, score: 0.9 },
      seed: 0,
      settingsHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    model.dispose();
  });

  it('is not written over by a new run', async () => {
    const store = memoryCheckpointStore();
    await trainPart(store, { abortAt: 2 });
    await expect(trainPart(store, { resume: false })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: trainer: the checkpoint store holds a run already (steps 2).
        hint: resume it with resume: true, or choose another folder]
    `);
  });

  it.each<
    [
      string,
      Parameters<typeof tinyRun>[1] & {
        method?: ReturnType<typeof mixedMethod>;
        weightSeed?: number;
      },
      RegExp,
    ]
  >([
    [
      'another learning rate',
      { schedule: cosineSchedule({ learningRate: 0.02, totalSteps: 12 }) },
      /learning rate \(0\.01 there, 0\.02 here\)/,
    ],
    [
      'another number of steps',
      { schedule: cosineSchedule({ learningRate: 0.01, totalSteps: 20 }) },
      /learning-rate schedule/,
    ],
    ['another optimiser', { optimizer: lion() }, /optimizer \("adamw" there, "lion" here\)/],
    [
      'another decay',
      { group: () => ({ learningRateScale: 1, weightDecay: 0 }) },
      /parameter groups/,
    ],
    ['other data', { data: tinyData(24, 6) }, /example lengths/],
    [
      'another order',
      { order: tinyOrder(tinyData(), { seed: 9 }) },
      /batch order \(\{"batchSize":4,"maxTokensPerMicroBatch":20,"seed":3\} there, \{.*"seed":9\} here\)/,
    ],
    ['another seed', { options: { seed: 1 } }, /seed \(0 there, 1 here\)/],
    [
      'another micro-batch',
      { order: tinyOrder(tinyData(), { maxTokensPerMicroBatch: 21 }) },
      /batch order/,
    ],
    [
      'a setting of the caller',
      { options: { settings: { tokenizer: 'b' } } },
      /tokenizer \("a" there, "b" here\)/,
    ],
    ['other base weights', { weightSeed: 2 }, /base weights/],
  ])(
    'of %s is refused, by name, and nothing is changed',
    async (_name, { weightSeed, ...changes }, message) => {
      const store = memoryCheckpointStore();
      const first = await tinyModel();
      await train(
        tinyRun(first, { store, options: { maxSteps: 2, settings: { tokenizer: 'a' } } }).request,
      );
      first.dispose();
      const model = await tinyModel('bert', mixedMethod(), weightSeed);
      const start = adapterBytes(model);
      const { request } = tinyRun(model, {
        store,
        ...changes,
        options: { settings: { tokenizer: 'a' }, ...changes.options, resume: true },
      });
      await expect(train(request)).rejects.toMatchObject({
        code: 'PEFT_CHECKPOINT_SETTINGS',
        message: expect.stringMatching(message),
      });
      expect(adapterBytes(model)).toEqual(start);
      model.dispose();
    },
  );

  it('of a run that was shorter is gone on with', async () => {
    const store = memoryCheckpointStore();
    const model = await tinyModel();
    await train(tinyRun(model, { store, options: { maxSteps: 2 } }).request);
    expect(
      await train(tinyRun(model, { store, options: { maxSteps: 4, resume: true } }).request),
    ).toMatchObject({ reason: 'completed', step: 4 });
    model.dispose();
  });

  it('that cannot be written is a named error, and the checkpoint before it is whole', async () => {
    const store = folderCheckpointStore(join(folder, 'run'));
    await trainPart(store, { abortAt: 5 });
    const stateFile = join(folder, 'run', 'checkpoint-5', 'trainer_state.json');
    const before = readFileSync(stateFile, 'utf8');
    rmSync(join(folder, 'file'), { force: true });
    writeFileSync(join(folder, 'file'), 'not a folder');
    await expect(
      trainPart(folderCheckpointStore(join(folder, 'file')), { abortAt: 2 }),
    ).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_WRITE',
      message: expect.stringContaining('a part of the path is a file'),
    });
    if (process.getuid?.() !== 0) {
      chmodSync(join(folder, 'run'), 0o500);
      await expect(trainPart(store)).rejects.toMatchObject({ code: 'PEFT_CHECKPOINT_WRITE' });
      chmodSync(join(folder, 'run'), 0o700);
    }
    // A disk that is full in the middle of the second file.
    const full: CheckpointStore = {
      ...store,
      save: (checkpoint) =>
        store.save({
          ...checkpoint,
          optimizer: checkpoint.optimizer.map((tensor) => ({
            ...tensor,
            read: () => {
              throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
            },
          })),
        }),
    };
    await expect(trainPart(full)).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_WRITE',
      message: expect.stringContaining('the disk is full'),
    });
    expect(readdirSync(join(folder, 'run'))).toEqual(['checkpoint-3', 'checkpoint-5']);
    expect(readFileSync(stateFile, 'utf8')).toBe(before);
    expect((await trainPart(store)).result.reason).toBe('completed');
  });

  it('that is damaged is a named error', async () => {
    const store = folderCheckpointStore(folder);
    await trainPart(store, { abortAt: 2 });
    const path = join(folder, 'checkpoint-2');
    const parameters = readFileSync(join(path, 'parameters.safetensors'));
    writeFileSync(
      join(path, 'parameters.safetensors'),
      parameters.subarray(0, parameters.length - 1),
    );
    await expect(trainPart(store)).rejects.toMatchObject({ code: 'PEFT_CHECKPOINT_DAMAGED' });
    writeFileSync(join(path, 'parameters.safetensors'), parameters);
    writeFileSync(join(path, 'trainer_state.json'), '{"version": 1, "step": "two"}');
    await expect(trainPart(store)).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_DAMAGED',
      message: expect.stringContaining('step must be a number of at least 0, got "two"'),
    });
    rmSync(join(path, 'trainer_state.json'));
    await expect(trainPart(store)).rejects.toMatchObject({ code: 'PEFT_CHECKPOINT_DAMAGED' });
  });

  it('is rid of what a killed process left half-written', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    const pid = child.pid!;
    await new Promise((resolve) => child.on('close', resolve));
    const abandoned = join(folder, `.checkpoint-7.${pid}-00ff00ff.tmp`);
    writeFileSync(abandoned, '');
    await trainPart(folderCheckpointStore(folder), { abortAt: 1 });
    expect(existsSync(abandoned)).toBe(false);
  });

  it('fits adamw exactly: its moments and counts are there', async () => {
    const store = memoryCheckpointStore();
    const model = await tinyModel();
    await train(tinyRun(model, { store, optimizer: adamw(), options: { maxSteps: 1 } }).request);
    const saved = await store.open(1);
    const names = saved.optimizer.map(({ name }) => name);
    expect(names).toContain('default/head.weight.exp_avg');
    expect(names).toHaveLength(
      3 *
        [...model.adapter('default').parameters.values()].filter(({ trainable }) => trainable)
          .length,
    );
    model.dispose();
  });
});
