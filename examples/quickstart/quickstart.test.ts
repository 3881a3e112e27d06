import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PeftPredictor } from '@peft/predictor';
import { expect, it } from 'vitest';

it('the quickstart trains, scores three languages, and saves a predictor that loads', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quickstart-test-'));
  try {
    const path = join(folder, 'topics');
    const script = fileURLToPath(new URL('quickstart.ts', import.meta.url));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      '--conditions=@peft/source',
      '--import',
      'tsx',
      script,
      path,
      '--rows',
      '16',
    ]);
    expect(stderr).toMatch(/^ia3_bias on deberta-v2: 12,295 trainable of [\d,]+ parameters /m);
    expect(stderr).toMatch(/^epoch 1, step 1: accuracy .*validation loss |^epoch 1, step 1: /m);
    expect(stdout).toContain(`npx peft predict ${path} --text`);
    const table = stdout
      .slice(stdout.indexOf('language'))
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/));
    expect(table.slice(1, 4).map(([language]) => language)).toEqual([
      'English',
      'German',
      'Japanese',
    ]);
    // 16 rows each, so that accuracies are multiples of 1/16.
    for (const [, accuracy] of table.slice(1, 4))
      expect(Number(accuracy) * 16).toBeCloseTo(Math.round(Number(accuracy) * 16), 1);
    expect(readdirSync(path).sort()).toEqual([
      'adapter',
      'events.jsonl',
      'model',
      'predictor.json',
      'run.json',
    ]);
    const predictor = await PeftPredictor.load(path);
    expect(predictor.classLabels).toContain(
      String((await predictor.predict([{ text: 'Der Verein gewann das Spiel.' }]))[0]),
    );
    predictor.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
