import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';
import { MODEL, quickRows } from './quick.js';

const csv = (rows: ReturnType<typeof quickRows>): string =>
  ['topic,text', ...rows.map(({ topic, text }) => `${topic},${text}`)].join('\n');

it('the example of the README runs as it is written', async () => {
  let written: string[] = [];
  const { printed } = await runReadmeExample('predictor', {
    prepare: (folder) => {
      symlinkSync(MODEL, join(folder, 'model'));
      writeFileSync(join(folder, 'train.csv'), csv(quickRows(30, 3)));
      writeFileSync(join(folder, 'test.csv'), csv(quickRows(12, 3)));
    },
    inspect: (folder) => {
      written = readdirSync(join(folder, 'topics')).sort();
    },
  });
  const lines = printed.trim().split('\n');
  expect(lines.at(-2)).toMatch(/^\{ accuracy: [\d.]+, log_loss: [\d.]+ \}$/);
  expect(lines.at(-1)).toMatch(/^\[ '(sports|health|travel)' \]$/);
  expect(written).toEqual(['adapter', 'events.jsonl', 'model', 'predictor.json', 'run.json']);
});
