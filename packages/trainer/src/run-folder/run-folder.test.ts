import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrainEvent } from '@peft/core';
import { readJsonObject } from '@peft/hub';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listRuns, type KnownRuns } from './list-runs.js';
import { createRunFolder } from './run-folder.js';
import { parseRunRecord } from './run-record.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-run-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const base = { runId: 'r1', atMs: 1000 };
const started: TrainEvent = {
  ...base,
  type: 'run/started',
  modelType: 'bert',
  method: 'lora',
  engine: 'portable (float32)',
  trainableParameters: 10,
  totalParameters: 100,
  plannedSteps: 12,
  plannedEpochs: 2,
};
const warned: TrainEvent = { ...base, type: 'run/warned', code: 'X', message: 'early' };
const checked = (step: number, accuracy: number, isBest: boolean): TrainEvent => ({
  ...base,
  type: 'evaluation/completed',
  step,
  epoch: 0,
  metrics: { accuracy },
  examples: 4,
  durationMs: 1,
  isBest,
});
const ended: TrainEvent = {
  ...base,
  atMs: 5000,
  type: 'run/ended',
  reason: 'completed',
  step: 12,
  durationMs: 4000,
  peakMemoryBytes: 1,
};

describe('a run folder', () => {
  it('is made when the run starts, and says how far it came', async () => {
    const path = join(folder, 'out');
    const run = createRunFolder(path);
    run.describe({ settings: { 'optim.lr': 0.1 }, data: { training: { rows: 24 } } });
    await run.listen(warned);
    expect(readdirSync(folder)).toEqual([]);
    await run.listen(started);
    const file = join(path, 'run.json');
    expect(parseRunRecord(readJsonObject(file)!, file)).toMatchObject({
      state: 'running',
      runId: 'r1',
      step: 0,
      settings: { 'optim.lr': 0.1 },
      environment: { node: process.version },
    });
    void run.listen(checked(6, 0.9, true));
    void run.listen(checked(9, 0.8, false));
    await run.listen(ended);
    expect(readJsonObject(file)).toMatchObject({
      state: 'completed',
      step: 12,
      endedAtMs: 5000,
      best: { step: 6, metrics: { accuracy: 0.9 } },
    });
    const lines = readFileSync(join(path, 'events.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as TrainEvent).type)).toEqual([
      'run/warned',
      'run/started',
      'evaluation/completed',
      'evaluation/completed',
      'run/ended',
    ]);
    expect(readdirSync(path).sort()).toEqual(['events.jsonl', 'run.json']);
  });

  it('that cannot be written rejects, and is tried again', async () => {
    const path = join(folder, 'out');
    const run = createRunFolder(path);
    mkdirSync(join(path, 'run.json'), { recursive: true });
    await expect(run.listen(started)).rejects.toThrow();
    rmSync(join(path, 'run.json'), { recursive: true });
    await run.listen(ended);
    expect(readdirSync(path).sort()).toEqual(['events.jsonl', 'run.json']);
  });

  it('of a newer layout or a damaged one is named', () => {
    expect(() => parseRunRecord({ format: 'peft-run', version: 2 }, 'run.json')).toThrow(
      'trainer: run.json has version 2, this toolkit reads 1.',
    );
    expect(() => parseRunRecord({ format: 'peft-run', version: 1 }, 'run.json')).toThrow(
      'trainer: run.json: runId must be a text, got undefined.',
    );
  });
});

describe('the runs of a folder', () => {
  it('are listed newest first, with folders from before there was a run.json', async () => {
    for (const [name, atMs] of [
      ['first', 1000],
      ['second', 2000],
    ] as const) {
      const run = createRunFolder(join(folder, name));
      await run.listen({ ...started, atMs });
      await run.listen(ended);
    }
    const summary = { method: 'ia3', metric: 'accuracy', validationScore: 0.75, steps: 8 };
    mkdirSync(join(folder, 'earlier'));
    writeFileSync(join(folder, 'earlier', 'predictor.json'), JSON.stringify({ summary }));
    const checkpoints = new URL('../../test/earlier-checkpoint', import.meta.url);
    cpSync(fileURLToPath(checkpoints), join(folder, 'broken-off', 'checkpoints'), {
      recursive: true,
    });
    mkdirSync(join(folder, 'damaged'));
    writeFileSync(join(folder, 'damaged', 'run.json'), '{');
    expect(
      (await listRuns(folder)).map(({ path, ...run }) => ({
        name: path.slice(folder.length + 1),
        ...run,
      })),
    ).toMatchObject([
      { name: 'second', state: 'completed', method: 'lora', step: 12, isWhole: false },
      { name: 'first', state: 'completed', startedAtMs: 1000 },
      { name: 'broken-off', state: 'interrupted', step: 5 },
      { name: 'damaged', state: 'unreadable' },
      { name: 'earlier', state: 'completed', metric: 'accuracy', score: 0.75, isWhole: true },
    ]);
  });

  it('tell a run whose process is gone from one that runs', async () => {
    const path = join(folder, 'out');
    await createRunFolder(path).listen(started);
    expect(await listRuns(path)).toMatchObject([{ state: 'running' }]);
    const file = join(path, 'run.json');
    writeFileSync(file, JSON.stringify({ ...readJsonObject(file), processId: 2 ** 22 + 1 }));
    expect(await listRuns(path)).toMatchObject([{ state: 'interrupted' }]);
  });

  it('that were listed before are read again where a file changed, or while they run', async () => {
    const [ended, running] = [join(folder, 'ended'), join(folder, 'running')];
    const known: KnownRuns = new Map();
    const list = async () =>
      new Map((await listRuns(folder, 2, known)).map((run) => [run.path, run] as const));
    for (const path of [ended, running]) await createRunFolder(path).listen(started);
    const file = join(ended, 'run.json');
    const over = { ...readJsonObject(file), state: 'completed' };
    writeFileSync(file, JSON.stringify(over));
    const first = await list();
    const second = await list();
    expect(second.get(ended)).toBe(first.get(ended));
    expect(second.get(running)).not.toBe(first.get(running));
    expect(second).toEqual(first);
    writeFileSync(file, JSON.stringify({ ...over, step: 77 }));
    expect((await list()).get(ended)).toMatchObject({ state: 'completed', step: 77 });
    rmSync(ended, { recursive: true });
    expect([...(await list()).keys()]).toEqual([running]);
  });

  it('are none where there is no folder', async () => {
    expect(await listRuns(join(folder, 'missing'))).toEqual([]);
  });
});
