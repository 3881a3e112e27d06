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
import { adamw, cosineSchedule, lion } from '@peft/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  folderCheckpointStore,
  memoryCheckpointStore,
  train,
  type CheckpointStore,
} from '../src/index.js';
import { trainPart } from './train-part.js';
import { adapterBytes, mixedMethod, tinyData, tinyModel, tinyOrder, tinyRun } from './tiny-run.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-trainer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

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

  it('of a run that was shorter is resumed', async () => {
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
