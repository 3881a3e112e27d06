import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearSchedule } from '@peft/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  folderCheckpointStore,
  memoryCheckpointStore,
  train,
  type CheckpointStore,
  type TrainOptions,
} from '../src/index.js';
import { tinyModel, tinyRun } from './tiny-run.js';
import { trainPart } from './train-part.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-resume-from-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Checkpoints 3 (the best so far), 5 (the last); the bytes of a run without a break. */
async function abortedRun(): Promise<Record<string, string>> {
  await trainPart(folderCheckpointStore(folder), { abortAt: 5 });
  expect(readdirSync(folder).sort()).toEqual(['checkpoint-3', 'checkpoint-5']);
  return (await trainPart(memoryCheckpointStore())).bytes;
}

const truncate = (path: string): void => writeFileSync(path, readFileSync(path).subarray(0, -1));

describe('a run that resumes from another checkpoint than the last', () => {
  it('starts there, by step, name or path, and ends with the same bytes', async () => {
    const whole = await abortedRun();
    for (const resumeFrom of [3, '3', 'checkpoint-3', join(folder, 'checkpoint-3')]) {
      const part = await trainPart(folderCheckpointStore(folder), { resumeFrom, abortAt: 4 });
      expect(part.events[0], String(resumeFrom)).toMatchObject({ resumedAtStep: 3 });
    }
    expect(readdirSync(folder).sort()).toEqual(['checkpoint-3', 'checkpoint-4']);
    const rest = await trainPart(folderCheckpointStore(folder), { resumeFrom: 3 });
    expect(rest.bytes).toEqual(whole);
  });

  it('is told by name when there is no such checkpoint', async () => {
    await abortedRun();
    const resume = (resumeFrom: string | number) =>
      trainPart(folderCheckpointStore(folder), { resumeFrom });
    await expect(resume(4)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: trainer: there is no checkpoint of step 4 to resume from.
        hint: there are those of steps 3, 5]
    `);
    await expect(resume('/elsewhere/checkpoint-3')).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_MISSING',
    });
    for (const absurd of [-1, 1.5, 1e300, 'last', 'checkpoint-99999999999999999999'])
      await expect(resume(absurd), String(absurd)).rejects.toMatchObject({
        code: 'PEFT_CONFIG_INVALID',
      });
  });
});

describe('a damaged checkpoint', () => {
  it('is passed over with a warning, and the run ends with the same bytes', async () => {
    const whole = await abortedRun();
    truncate(join(folder, 'checkpoint-5', 'optimizer.safetensors'));
    const { events, bytes } = await trainPart(folderCheckpointStore(folder));
    expect(events.slice(0, 2)).toMatchObject([
      {
        type: 'run/warned',
        code: 'PEFT_CHECKPOINT_DAMAGED',
        message: expect.stringMatching(
          /checkpoint-5 cannot be read.* It is passed over\.$/,
        ) as string,
      },
      { type: 'run/started', resumedAtStep: 3 },
    ]);
    expect(bytes).toEqual(whole);
  });

  it('is an error when it was asked for, or when no other is whole', async () => {
    await abortedRun();
    truncate(join(folder, 'checkpoint-5', 'parameters.safetensors'));
    await expect(trainPart(folderCheckpointStore(folder), { resumeFrom: 5 })).rejects.toMatchObject(
      { code: 'PEFT_CHECKPOINT_DAMAGED' },
    );
    truncate(join(folder, 'checkpoint-3', 'parameters.safetensors'));
    await expect(trainPart(folderCheckpointStore(folder))).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_DAMAGED',
      message: expect.stringContaining('checkpoint-5') as string,
    });
  });

  it('is one whose state is of another step, or of an absurd one', async () => {
    await abortedRun();
    const path = join(folder, 'checkpoint-5', 'trainer_state.json');
    const state = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    for (const step of [4, 1e300, 5.5]) {
      writeFileSync(path, JSON.stringify({ ...state, step }));
      await expect(
        trainPart(folderCheckpointStore(folder), { resumeFrom: 5 }),
      ).rejects.toMatchObject({ code: 'PEFT_CHECKPOINT_DAMAGED' });
    }
  });

  it('is a file, or a folder of no possible step: both are named', async () => {
    writeFileSync(join(folder, 'checkpoint-99'), 'text');
    await expect(trainPart(folderCheckpointStore(folder))).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_DAMAGED',
      message: expect.stringContaining('checkpoint-99 is a file, no checkpoint') as string,
    });
    rmSync(join(folder, 'checkpoint-99'));
    mkdirSync(join(folder, 'checkpoint-99999999999999999999'));
    await expect(trainPart(folderCheckpointStore(folder))).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_DAMAGED',
      message: expect.stringContaining('is of no possible step') as string,
    });
  });
});

it('what a killed process left half-written goes at the next run, also under its own number', async () => {
  await trainPart(folderCheckpointStore(folder));
  const leftover = join(folder, `.checkpoint-7.${process.pid}-00ff00ff.tmp`);
  mkdirSync(leftover);
  await trainPart(folderCheckpointStore(folder)); // it is over, and saves nothing
  expect(readdirSync(folder)).not.toContain(leftover.slice(folder.length + 1));
});

describe('a run that is over', () => {
  const more = (changes: TrainOptions, totalSteps: number) =>
    runWith(folderCheckpointStore(folder), changes, totalSteps);

  async function runWith(
    store: CheckpointStore,
    options: TrainOptions | undefined,
    totalSteps: number,
  ) {
    const model = await tinyModel();
    const schedule = linearSchedule({ learningRate: 0.01, totalSteps });
    const { request, events } = tinyRun(model, { store, schedule, options });
    const result = await train(request).finally(() => model.dispose());
    return { result, events };
  }

  it('takes more epochs with its schedule restated, and says so', async () => {
    await more({ epochs: 2 }, 12);
    await expect(more({ epochs: 3, resume: true }, 18)).rejects.toMatchObject({
      code: 'PEFT_CHECKPOINT_SETTINGS',
    });
    const options = { epochs: 3, resume: true, restateSchedule: true };
    const { result, events } = await more(options, 18);
    expect(result).toMatchObject({ reason: 'completed', step: 18 });
    expect(events[0]).toMatchObject({
      code: 'PEFT_TRAIN_SCHEDULE_RESTATED',
      message: expect.stringContaining('from step 13 on the present one counts') as string,
    });
    const rates = events.flatMap((event) =>
      event.type === 'step/completed' ? [event.learningRate] : [],
    );
    expect(rates).toEqual([12, 13, 14, 15, 16, 17].map((step) => (0.01 * (18 - step)) / 18));
    // and what it saved is resumed as it is
    expect((await more({ epochs: 3, resume: true }, 18)).result.step).toBe(18);
  });

  it('is refused for any other setting, also then', async () => {
    await more({ epochs: 1 }, 12);
    await expect(
      more({ epochs: 2, seed: 4, resume: true, restateSchedule: true }, 24),
    ).rejects.toMatchObject({ code: 'PEFT_CHECKPOINT_SETTINGS' });
  });
});
