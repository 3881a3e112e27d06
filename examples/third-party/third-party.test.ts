/** Rule 5: a method, a model family and an engine come without a change in the toolkit. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PeftPredictor, withArchitectures, withEngines, withMethods } from '@peft/predictor';
import { portableSizing } from '@peft/portable';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { abacus, abacusBert, ssf } from './plugin.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const modules = [withMethods(ssf), withArchitectures(abacusBert), withEngines(abacus)];
const rows = Array.from({ length: 16 }, (_, i) => ({
  topic: i % 2 ? 'sports' : 'health',
  text: i % 2 ? `the team won match ${i}` : `the doctor saw patient ${i}`,
}));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-third-party-'));
  cpSync(here('../../node_modules/.cache/peft/quick-model'), join(folder, 'model'), {
    recursive: true,
  });
  const path = join(folder, 'model', 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...config, model_type: 'abacus-bert' }));
  writeFileSync(
    join(folder, 'train.csv'),
    `topic,text\n${rows.map(({ topic, text }) => `${topic},${text}`).join('\n')}\n`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a predictor trains, saves and loads with a method, a family and an engine of others', async () => {
  const path = join(folder, 'predictor');
  const predictor = new PeftPredictor({ label: 'topic', path, modules });
  const warnings: string[] = [];
  predictor.events$.subscribe((event) => {
    if (event.type === 'run/warned') warnings.push(event.message);
  });
  await predictor.fit(rows, {
    method: ssf(),
    hyperparameters: {
      'model.hf_text.checkpoint_name': join(folder, 'model'),
      'optim.max_steps': 2,
      'optim.lr': 1e-2,
      'env.batch_size': 8,
      'env.engine': 'abacus',
    },
  });
  expect(predictor.fitSummary()).toMatchObject({ method: 'ssf', engine: 'abacus (float32)' });
  expect(predictor.fitSummary().plannedPeakBytes).toBeGreaterThan(portableSizing.runtimeBytes);
  expect(warnings.filter((message) => message.includes('not planned'))).toEqual([]);
  const expected = await predictor.predictProba(rows.slice(0, 3));
  predictor.dispose();

  const loaded = await PeftPredictor.load(path, { engine: 'abacus', modules });
  expect(await loaded.predictProba(rows.slice(0, 3))).toEqual(expected);
  loaded.dispose();
});

test('the command takes them from a plug-in', { timeout: 300_000 }, () => {
  const peft = (...words: string[]): string =>
    execFileSync(process.execPath, [here('../../packages/cli/bin/peft.mjs'), ...words], {
      cwd: folder,
      encoding: 'utf8',
    });
  const plugin = ['--plugin', here('plugin.ts'), '--engine', 'abacus'];
  const words =
    'train.csv --label topic --model model --method ssf --epochs 1 --batch-size 8 --output out --json';
  const summary: unknown = JSON.parse(peft('fit', ...words.split(' '), ...plugin));
  expect(summary).toMatchObject({ method: 'ssf', engine: 'abacus (float32)' });
  const planned: unknown = JSON.parse(peft('plan', 'model', '--json', ...plugin));
  expect(planned).toMatchObject({ plan: { runtimeBytes: portableSizing.runtimeBytes } });
  expect(peft('inspect', 'model', ...plugin.slice(0, 2))).toContain('18 sites');
  const predicted = peft('predict', 'out', 'train.csv', ...plugin, '--json');
  expect(predicted).toMatch(/sports|health/);
});

test('a server of theirs answers as the predictor does', { timeout: 120_000 }, async () => {
  const predictor = await PeftPredictor.load(join(folder, 'out'), { engine: 'abacus', modules });
  const [wanted] = await predictor.predictProba([{ text: 'the team' }]);
  predictor.dispose();
  const words = ['serve', 'out', '--port', '0', '--plugin', here('plugin.ts')];
  const command = spawn(
    process.execPath,
    [here('../../packages/cli/bin/peft.mjs'), ...words, '--engine', 'abacus'],
    { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  try {
    let err = '';
    command.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    await expect.poll(() => err, { timeout: 60_000 }).toContain('listening on');
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(err)!;
    const body = JSON.stringify({ inputs: 'the team' });
    const answer = await fetch(`${url}/predict`, { method: 'POST', body });
    const scores = (await answer.json()) as { score: number }[];
    expect(scores.map(({ score }) => score)).toEqual([...wanted!].sort((a, b) => b - a));
  } finally {
    command.kill('SIGKILL');
  }
});
