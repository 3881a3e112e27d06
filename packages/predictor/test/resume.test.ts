import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
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
import type { MethodSpec } from '@peft/core';
import { lora } from '@peft/lora';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { MODEL, quickPredictor, quickRows } from './quick.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-predictor-resume-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const adapterOf = (path: string): Buffer =>
  readFileSync(join(path, 'adapter/adapter_model.safetensors'));
const OPTIONS = { evalMetric: 'log_loss' } as const;

/** Fits into `path`; stops after a step, if asked to. */
async function fit(
  path: string,
  {
    stopAt,
    resume = false,
    rows = quickRows(40),
    hyperparameters = {},
    method,
  }: {
    stopAt?: number;
    resume?: boolean;
    rows?: ReturnType<typeof quickRows>;
    hyperparameters?: object;
    method?: MethodSpec;
  } = {},
) {
  const { predictor, events } = quickPredictor({ path, ...OPTIONS, hyperparameters });
  const controller = new AbortController();
  predictor.listen(
    (event) => event.type === 'step/completed' && event.step === stopAt && controller.abort(),
  );
  const error: unknown = await predictor
    .fit(rows, { resume, method, signal: controller.signal })
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  predictor.dispose();
  return { events, error };
}

describe('a fit that is stopped', () => {
  it('keeps its checkpoints only, and goes on to the very same adapter', async () => {
    const whole = join(folder, 'whole');
    expect((await fit(whole)).error).toBeUndefined();
    const before = tf.memory().numTensors;
    for (const stopAt of [1, 5]) {
      const path = join(folder, `at-${stopAt}`);
      const stopped = await fit(path, { stopAt });
      expect(stopped.error).toMatchObject({
        code: 'PEFT_RUN_ABORTED',
        message: expect.stringContaining(`after step ${stopAt}`) as string,
      });
      expect(readdirSync(path).sort()).toEqual(['checkpoints', 'events.jsonl', 'run.json']);
      await expect(PeftPredictor.load(path)).rejects.toMatchObject({
        code: 'PEFT_PREDICTOR_MISSING',
        message: expect.stringContaining('resume: true') as string,
      });
      const resumed = await fit(path, { resume: true });
      expect(resumed.error).toBeUndefined();
      expect(resumed.events.find(({ type }) => type === 'run/started')).toMatchObject({
        resumedAtStep: stopAt,
      });
      expect(readdirSync(path).sort()).toEqual([
        'adapter',
        'events.jsonl',
        'model',
        'predictor.json',
        'run.json',
      ]);
      expect(adapterOf(path).equals(adapterOf(whole)), `stopped at ${stopAt}`).toBe(true);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each(['eva', 'corda', 'lora_ga'] as const)(
    'that started from data as %s goes on to the same adapter, which loads',
    async (init) => {
      const method = lora({ rank: 2, init });
      const [whole, path] = [join(folder, 'whole'), join(folder, 'stopped')];
      expect((await fit(whole, { method })).error).toBeUndefined();
      await fit(path, { method, stopAt: 2 });
      expect((await fit(path, { method, resume: true })).error).toBeUndefined();
      expect(adapterOf(path).equals(adapterOf(whole))).toBe(true);
      const texts = quickRows(4).map(({ text }) => ({ text }));
      const [fitted, loaded] = [await PeftPredictor.load(whole), await PeftPredictor.load(path)];
      expect(await loaded.predictProba(texts)).toEqual(await fitted.predictProba(texts));
      fitted.dispose();
      loaded.dispose();
    },
  );

  it('refuses to go on with other data or settings, or without being asked', async () => {
    const path = join(folder, 'run');
    await fit(path, { stopAt: 2 });
    expect((await fit(path)).error).toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
    const other = quickRows(40).map((row, i) =>
      i === 0 ? { ...row, text: row.text.replace('team', 'mate') } : row,
    );
    expect((await fit(path, { resume: true, rows: other })).error).toMatchObject({
      code: 'PEFT_CHECKPOINT_SETTINGS',
      message: expect.stringContaining('data') as string,
    });
    expect(
      (await fit(path, { resume: true, hyperparameters: { 'optim.lr': 1 } })).error,
    ).toMatchObject({
      code: 'PEFT_CHECKPOINT_SETTINGS',
      message: expect.stringContaining('learning-rate') as string,
    });
    expect((await fit(path, { resume: true })).error).toBeUndefined();
    expect((await fit(path, { resume: true })).error).toMatchObject({ code: 'PEFT_RUN_COMPLETE' });
  });

  it('leaves nothing behind when it is stopped before it began', async () => {
    const path = join(folder, 'unborn');
    const { predictor } = quickPredictor({ path, ...OPTIONS });
    await expect(
      predictor.fit(quickRows(40), { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'PEFT_RUN_ABORTED' });
    expect(existsSync(path)).toBe(false);
    predictor.dispose();
  });

  it('starts afresh when it had not come to a checkpoint', async () => {
    const path = join(folder, 'early');
    mkdirSync(join(path, 'checkpoints'), { recursive: true });
    const { error, events } = await fit(path, {
      resume: true,
      hyperparameters: { 'optim.max_steps': 1 },
    });
    expect(error).toBeUndefined();
    const started = events.find((event) => event.type === 'run/started');
    expect(started?.resumedAtStep).toBeUndefined();
  });

  it('can be gone on with in the same predictor, and a further fit, too', async () => {
    const { predictor } = quickPredictor({ path: folder, ...OPTIONS });
    const rows = quickRows(40);
    const controller = new AbortController();
    const subscription = predictor.listen(
      (event) => event.type === 'step/completed' && event.step === 3 && controller.abort(),
    );
    await expect(predictor.fit(rows, { signal: controller.signal })).rejects.toMatchObject({
      code: 'PEFT_RUN_ABORTED',
    });
    expect(() => predictor.fitSummary()).toThrow();
    subscription.unsubscribe();
    await predictor.fit(rows, { resume: true });
    expect(predictor.fitSummary().steps).toBe(8);

    const again = new AbortController();
    predictor.listen(
      (event) => event.type === 'step/completed' && event.step === 3 && again.abort(),
    );
    await expect(predictor.fit(rows, { signal: again.signal })).rejects.toMatchObject({
      code: 'PEFT_RUN_ABORTED',
    });
    expect(readdirSync(folder).sort()).toEqual([
      'adapter',
      'checkpoints',
      'events.jsonl',
      'model',
      'predictor.json',
      'run.json',
    ]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(folder, { engine: 'portable' });
    await loaded.fit(rows, { resume: true });
    expect(loaded.fitSummary().steps).toBe(8);
    expect(existsSync(join(folder, 'checkpoints'))).toBe(false);
    loaded.dispose();
  });
});

describe('a fit whose result cannot be written', () => {
  it('keeps its checkpoints, and its logs are left alone', async () => {
    const model = join(folder, 'model');
    const path = join(folder, 'run');
    cpSync(MODEL, model, { recursive: true });
    const { predictor } = quickPredictor({
      path,
      ...OPTIONS,
      hyperparameters: { 'model.hf_text.checkpoint_name': model },
    });
    predictor.listen(({ type }) => {
      if (type !== 'run/ended') return;
      rmSync(join(model, 'tokenizer.json'));
      mkdirSync(join(path, 'logs'));
      writeFileSync(join(path, 'logs/events.jsonl'), '{}\n');
    });
    await expect(predictor.fit(quickRows(40))).rejects.toMatchObject({
      code: 'PEFT_PREDICTOR_WRITE',
    });
    predictor.dispose();
    expect(readdirSync(path).sort()).toEqual(['checkpoints', 'events.jsonl', 'logs', 'run.json']);
    cpSync(join(MODEL, 'tokenizer.json'), join(model, 'tokenizer.json'));
    expect(
      (
        await fit(path, {
          resume: true,
          hyperparameters: { 'model.hf_text.checkpoint_name': model },
        })
      ).error,
    ).toBeUndefined();
    expect(readdirSync(path).sort()).toEqual([
      'adapter',
      'events.jsonl',
      'logs',
      'model',
      'predictor.json',
      'run.json',
    ]);
  });
});

describe('a fit whose process is killed', () => {
  it('goes on to the very same adapter', async () => {
    const script = fileURLToPath(new URL('fit-in-child.ts', import.meta.url));
    const run = (path: string, killAfter?: number) =>
      new Promise<string>((resolve) => {
        const child = spawn(
          process.execPath,
          [
            '--conditions=@peft/source',
            '--import',
            'tsx',
            script,
            path,
            ...(killAfter === undefined ? [] : [String(killAfter)]),
          ],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
        child.on('close', (_code, signal) => resolve(`${output}${signal ?? ''}`));
      });
    const [whole, killed] = ['whole', 'killed'].map((name) => join(folder, name)) as [
      string,
      string,
    ];
    expect(await run(whole)).toBe('started at 0\nfitted\n');
    expect(await run(killed, 5)).toBe('started at 0\nSIGKILL');
    // it may have been writing run.json
    const left = readdirSync(killed).filter((name) => !name.endsWith('.tmp'));
    expect(left.sort()).toEqual(['checkpoints', 'events.jsonl', 'run.json']);
    expect(await run(killed)).toBe('started at 4\nfitted\n');
    expect(adapterOf(killed).equals(adapterOf(whole))).toBe(true);
    expect(readdirSync(killed).sort()).toEqual(readdirSync(whole).sort());
  });
});
