import { expect, test } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';

test("the README's example prints what the README says", async () => {
  const { printed, promised } = await runReadmeExample('trainer', { inRepository: true });
  expect(printed.replace(/^[^]*?(?=completed)/, '')).toBe(promised);
});
