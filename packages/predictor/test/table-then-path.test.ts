import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTable } from '@peft/data';
import { afterAll, expect, test } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { DATA, quickPredictor } from './quick.js';

const folder = mkdtempSync(join(tmpdir(), 'peft-table-then-path-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a predictor that learnt from a table reads files without a header like it, also when loaded', async () => {
  const path = join(folder, 'saved');
  const train = await readTable(join(DATA, 'en_train.tsv'), { columns: ['topic', 'text'] });
  const { predictor } = quickPredictor({ path });
  await predictor.fit(train, { sample: 64, hyperparameters: { 'optim.max_epochs': 1 } });
  const file = join(DATA, 'de_test.tsv');
  const scores = await predictor.evaluate(file);
  expect(scores['accuracy']).toBeGreaterThanOrEqual(0);
  predictor.dispose();
  const loaded = await PeftPredictor.load(path, { engine: 'portable' });
  expect(await loaded.evaluate(file)).toEqual(scores);
  loaded.dispose();
});
