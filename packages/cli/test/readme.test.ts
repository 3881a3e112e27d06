import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RUN_FILE_KEYS } from '../src/options/fit-options.js';
import { peft } from './fake-terminal.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('the README lists every command, and no other', async () => {
  const { code, out } = await peft('--help');
  expect(code).toBe(0);
  const names = (text: string, line: RegExp) => [...text.matchAll(line)].map(([, name]) => name!);
  const commands = names(out.slice(out.indexOf('Commands:')), /^ {2}([a-z]+) /gm);
  const listed = names(readme, /^\| `([a-z]+)` \|/gm);
  expect(listed.sort()).toEqual(commands.filter((name) => name !== 'help').sort());
});

test("the README's run file has keys that there are", () => {
  const file = /```yaml\n(.*?)```/s.exec(readme)![1]!;
  const keys = [...file.matchAll(/^([A-Za-z]+):/gm)].map(([, key]) => key!);
  expect(keys.length).toBeGreaterThan(5);
  for (const key of keys) expect(RUN_FILE_KEYS).toContain(key);
});
