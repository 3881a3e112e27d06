import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
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
  test('lists saved, unfinished and damaged runs, the newest first', async () => {
    const words = ['fit', llama.chats, '--task', 'causal-lm', '--model', llama.path];
    const further = ['--method', 'lora', '--tune', llama.chats, '--no-standalone'];
    const saved = join(folder, 'chats', 'first');
    expect((await peft(...words, ...further, ...QUICK, '-o', saved)).code).toBe(0);
    mkdirSync(join(folder, 'stopped', 'checkpoints', 'checkpoint-12'), { recursive: true });
    mkdirSync(join(folder, 'stopped', 'checkpoints', 'checkpoint-4'));
    utimesSync(join(folder, 'stopped', 'checkpoints'), 1e9, 1e9);
    mkdirSync(join(folder, 'damaged'));
    writeFileSync(join(folder, 'damaged', 'predictor.json'), '{"summary":');
    utimesSync(join(folder, 'damaged', 'predictor.json'), 2e9, 2e9);
    mkdirSync(join(folder, 'no-run'));

    const { out } = await peft('runs', folder, '--json');
    const { runs } = JSON.parse(out) as { runs: Record<string, unknown>[] };
    expect(runs).toMatchObject([
      { folder: join(folder, 'damaged'), state: 'unreadable' },
      {
        folder: saved,
        state: 'saved',
        task: 'causal-lm',
        method: 'lora',
        metric: 'perplexity',
        step: 2,
      },
      { folder: join(folder, 'stopped'), state: 'unfinished', step: 12 },
    ]);
    const people = await peft('runs', folder);
    expect(people.out.split('\n')).toHaveLength(5);
    expect(people.out).toMatch(/saved +causal-lm +lora +perplexity \d+\.\d{4} +2 /);
  });

  test('says where it looked in vain', async () => {
    expect((await peft('runs', join(folder, 'no-run'))).out).toContain('no runs in ');
    expect((await peft('runs', join(folder, 'nowhere'))).err).toContain('PEFT_FILE_MISSING');
  });
});
