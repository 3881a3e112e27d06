import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { useTemporaryFolder } from '@peft/testing';
import { expect, it } from 'vitest';
import { loadRewards } from './load-rewards.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

const written = (name: string, source: string): string => {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
};

it('loads rewards by the names of their files, with their weights', async () => {
  const exact = written('exact.mjs', 'export default ({ completion }) => completion.length;');
  const [plain, weighted] = await loadRewards('fit', [exact, `${exact}=0.5`]);
  expect([plain!.name, plain!.weight, weighted!.weight]).toEqual(['exact', undefined, 0.5]);
  expect(await plain!.score({ completion: 'four' } as never)).toBe(4); // it reads nothing else
});

it.each([
  ['a file that is not there', 'PEFT_REWARD_LOAD', () => join(folder, 'none.mjs')],
  ['no function', 'PEFT_REWARD_LOAD', () => written('text.mjs', "export default 'good';")],
  [
    'a weight of 0',
    'PEFT_CONFIG_INVALID',
    () => `${written('w.mjs', 'export default () => 1;')}=0`,
  ],
])('refuses %s', async (_, code, file) => {
  await expect(loadRewards('fit', [file()])).rejects.toMatchObject({ code });
});
