/** docs/models.md says what the registry reads and which golden case holds it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { modelPage, modelRows, PAGE } from './model-table.js';

test('the page is the one that the registry and the cases make', () => {
  expect(readFileSync(PAGE, 'utf8'), 'run the tool that the page names').toBe(modelPage());
});

test.each(modelRows())('$modelType has a golden case and an example', ({ cases, example }) => {
  expect(cases).not.toEqual([]);
  expect(example).toMatch(/^[\w-]+\/[\w.-]+$/);
});
