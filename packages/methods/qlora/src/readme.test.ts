import { expect, it } from 'vitest';
import { runReadmeExample } from '../../../../tools/checks/readme-example.js';

it('the example of the README runs as it is written and prints what it says', async () => {
  const { printed, promised } = await runReadmeExample('qlora');
  expect(printed.slice(printed.indexOf('{ trainable')).trim()).toBe(promised!.trim());
});
