/** The README's list of flags is that of the commands, word for word. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { programOf } from '../src/command-line.js';
import { fakeTerminal } from './fake-terminal.js';

/** A row for each flag with its commands; a flag that means something else elsewhere has two. */
function flagRows(): string[] {
  const rows = new Map<string, string[]>();
  for (const command of programOf([], fakeTerminal()).commands)
    for (const { flags, description, hidden } of command.options) {
      if (hidden) continue;
      const key = `\`${flags}\` | ${description.replaceAll('|', '\\|')}`;
      rows.set(key, [...(rows.get(key) ?? []), command.name()]);
    }
  return [...rows].map(([key, commands]) => {
    const [flag, ...help] = key.split(' | ');
    return `| ${flag} | ${commands.join(', ')} | ${help.join(' | ')} |`;
  });
}

test('the README lists every flag of every command with its help, and no other', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const section = /^## Flags\n([\s\S]*?)(?=^## )/m.exec(readme)![1]!;
  const listed = section.split('\n').filter((line) => line.startsWith('| `-'));
  // the rows on the left are missing in the README, those on the right too much
  expect(listed.sort()).toEqual(flagRows().sort());
});
