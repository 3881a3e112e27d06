import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';

const MODEL = fileURLToPath(new URL('../../testing/fixtures/models/deberta-v2', import.meta.url));

it('the example of the README runs as it is written', async () => {
  const { printed } = await runReadmeExample('data', {
    prepare: (folder) => {
      cpSync(MODEL, join(folder, 'mdeberta-v3-base'), { recursive: true });
      writeFileSync(
        join(folder, 'en_train.tsv'),
        Array.from(
          { length: 60 },
          (_, i) => `${i % 3 ? 'good' : 'poor'}\tThis is review number ${i}.\n`,
        ).join(''),
      );
    },
  });
  const lines = printed.trim().split('\n');
  // 48 of 60 rows are for training: 32 and 16 rows in micro-batches of 4.
  expect(lines).toHaveLength(13);
  expect(lines[0]).toMatch(/^\d+ tokens$/);
  expect(lines.at(-1)).toBe('0.5');
});
