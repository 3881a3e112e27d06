import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';
import { QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

let llama: TinyLlama;
let folder = '';
beforeAll(() => {
  llama = tinyLlama();
  folder = mkdtempSync(join(tmpdir(), 'peft-runs-'));
});
afterAll(() => {
  llama.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('peft runs', () => {
  test('lists completed, interrupted and damaged runs, the newest first', async () => {
    const words = ['fit', llama.chats, '--task', 'causal-lm', '--model', llama.path];
    const further = ['--method', 'lora', '--tune', llama.chats, '--no-standalone'];
    const saved = join(folder, 'chats', 'first');
    expect((await peft(...words, ...further, ...QUICK, '-o', saved)).code).toBe(0);
    // what a killed process leaves: a record of a run that goes on, and nobody who does it
    const record = JSON.parse(readFileSync(join(saved, 'run.json'), 'utf8')) as object;
    expect(record).toMatchObject({
      request: { train: llama.chats, task: 'causal-lm', method: 'lora', output: saved },
    });
    const killed = {
      ...record,
      state: 'running',
      startedAtMs: 1000,
      endedAtMs: undefined,
      processId: 2 ** 22 + 1,
    };
    mkdirSync(join(folder, 'stopped'));
    writeFileSync(join(folder, 'stopped', 'run.json'), JSON.stringify({ ...killed, step: 1 }));
    mkdirSync(join(folder, 'damaged'));
    writeFileSync(join(folder, 'damaged', 'predictor.json'), '{"summary":');
    mkdirSync(join(folder, 'no-run'));

    const { out } = await peft('runs', folder, '--json');
    const { runs } = JSON.parse(out) as { runs: Record<string, unknown>[] };
    expect(runs).toMatchObject([
      {
        path: saved,
        state: 'completed',
        task: 'causal-lm',
        method: 'lora',
        metric: 'perplexity',
        step: 2,
      },
      { path: join(folder, 'stopped'), state: 'interrupted', method: 'lora', step: 1 },
      { path: join(folder, 'damaged'), state: 'unreadable' },
    ]);
    const people = await peft('runs', folder);
    expect(people.out.split('\n')).toHaveLength(5);
    expect(people.out).toMatch(/completed +causal-lm +lora +perplexity \d+\.\d{4} +2 /);
  });

  test('says where it looked in vain', async () => {
    expect((await peft('runs', join(folder, 'no-run'))).out).toContain('no runs in ');
    expect((await peft('runs', join(folder, 'nowhere'))).err).toContain('PEFT_FILE_MISSING');
  });
});
