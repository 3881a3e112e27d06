import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  folderCheckpointStore,
  memoryCheckpointStore,
  train,
  type CheckpointStore,
  type RunState,
} from '../src/index.js';
import { distance, withoutKeyBiases } from './adapter-distance.js';
import { adapterBytes, tinyModel, tinyRun, tinyValidation } from './tiny-run.js';

/** Made by the run below, aborted at step 5, before this package was first published. */
const EARLIER = fileURLToPath(new URL('earlier-checkpoint', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-earlier-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param abort is called after step 8 */
async function run(store: CheckpointStore, signal?: AbortSignal, abort?: AbortController) {
  const model = await tinyModel();
  const { evaluate, validation } = tinyValidation(model);
  const { request, events } = tinyRun(model, {
    store,
    evaluate,
    signal: abort?.signal ?? signal,
    options: {
      // what is given as undefined is neither a setting nor another default
      validation: { ...validation, patience: undefined, everySteps: undefined },
      topK: 2,
      resume: true,
      maxSteps: undefined,
      settings: { tokenizer: 'a', nothing: undefined },
    },
  });
  request.bus!.listen((event) => {
    if (event.type === 'step/completed' && event.step === 8) abort?.abort();
  });
  const { selected } = await train(request);
  const bytes = adapterBytes(model);
  model.dispose();
  return { selected, bytes, started: events[0] };
}

/** The run from its start on, as versions had it that added gradients one by one and made all rows. */
async function wholeRun() {
  const store = memoryCheckpointStore();
  await run(store, AbortSignal.abort());
  return run({
    ...store,
    open: async (step) => {
      const opened = await store.open(step);
      const { gradientSum, lastBlock, ...state } = opened.state;
      if (step === 0) expect([gradientSum, lastBlock]).toEqual(['pairwise', 'head-rows']);
      return { ...opened, state };
    },
  });
}

test('a checkpoint of an earlier version is resumed, to where a run without a break ends', async () => {
  cpSync(EARLIER, folder, { recursive: true });
  const resumed = await run(folderCheckpointStore(folder));
  expect(resumed.started).toMatchObject({ type: 'run/started', resumedAtStep: 5 });
  const whole = await wholeRun();
  // with a break of its own it ends in the same bytes
  const broken = join(folder, 'broken');
  cpSync(EARLIER, broken, { recursive: true });
  await run(folderCheckpointStore(broken), undefined, new AbortController());
  const again = await run(folderCheckpointStore(broken));
  expect(again.started).toMatchObject({ type: 'run/started', resumedAtStep: 8 });
  expect(again.bytes).toEqual(resumed.bytes);
  expect(again.selected).toEqual(resumed.selected);
  // kernels have come to round otherwise since the checkpoint was made
  expect(
    distance(withoutKeyBiases(resumed.bytes), withoutKeyBiases(whole.bytes)),
  ).toBeLessThanOrEqual(1e-5);
  expect(resumed.selected).toEqual(whole.selected);
});

test('the hash of the same settings is what it was', async () => {
  const stateOf = (path: string): RunState =>
    JSON.parse(readFileSync(join(path, 'trainer_state.json'), 'utf8')) as RunState;
  await run(folderCheckpointStore(folder));
  const earlier = stateOf(join(EARLIER, 'checkpoint-5'));
  const present = stateOf(join(folder, 'checkpoint-12'));
  expect(present.settings).toStrictEqual(earlier.settings);
  expect(present.settingsHash).toBe(earlier.settingsHash);
});
