import { expect, test } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';

test("the README's example prints what the README says", async () => {
  const { printed, promised } = await runReadmeExample('server', { inRepository: true });
  expect(printed).toContain(promised!);
});
