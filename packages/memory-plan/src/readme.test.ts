import { expect, it } from 'vitest';
import { runReadmeExample } from '../../../tools/checks/readme-example.js';

it('the example of the README runs as it is written and prints what it says', async () => {
  const { printed, promised } = await runReadmeExample('memory-plan');
  expect(printed.slice(printed.indexOf('weights  ')).trim()).toBe(promised!.trim());
});
