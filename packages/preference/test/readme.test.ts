import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';

const LLAMA = fileURLToPath(new URL('../../testing/fixtures/models/llama', import.meta.url));

test("the README's example prints what the README says", async () => {
  const { printed, promised } = await runReadmeExample('preference', {
    prepare: (folder) => symlinkSync(LLAMA, join(folder, 'llama')),
  });
  expect(printed).toContain(promised!);
});
