import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { measureLines } from './lines.mjs';
import { checkRooms } from './rooms.mjs';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'peft-lines-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): string[] {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return Object.keys(files);
}
const lines = (count: number, length = 1): string => `${'x'.repeat(length)}\n`.repeat(count);

describe('lines', () => {
  test('counts lines, and finds nothing to say of plain files', () => {
    const files = write({ 'a.ts': lines(10), 'b.ts': lines(20), 'c.ts': lines(110) });
    expect(measureLines(root, files)).toEqual({
      problems: [],
      figures: { files: 3, lines: 140, longLines: 0, medianFile: 20, longestFile: 110 },
    });
  });

  test('names a line of more than 160 characters, but not in data', () => {
    const files = write({ 'a.ts': lines(300) + lines(1, 161), 'b.ts': lines(5), 'c.ts': '' });
    expect(measureLines(root, files, []).problems).toEqual([
      'a.ts:301: 161 characters, at most 160',
    ]);
    expect(measureLines(root, files, ['a.ts']).problems).toEqual([]);
  });

  test('names long lines when they are more than one in 200', () => {
    const files = write({ 'a.ts': lines(98) + lines(2, 121) });
    expect(measureLines(root, files).problems).toEqual([
      expect.stringMatching(/^2 of 100 lines are longer than 120 characters/),
    ]);
  });

  test('names a file of more than 400 lines, and files that are long as a rule', () => {
    const files = write({ 'a.ts': lines(401), 'b.ts': lines(111), 'c.ts': lines(3) });
    expect(measureLines(root, files).problems).toEqual([
      expect.stringContaining('a.ts: 401 lines, at most 400'),
      expect.stringContaining('111 lines or more'),
    ]);
  });
});

describe('rooms', () => {
  const place = 'packages/p';
  const sources = (folder: string, count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`${place}/src/${folder}/f${i}.ts`, '']),
    );

  test('counts what a folder shows, tests aside', () => {
    const files = write({
      ...sources('a', 16),
      ...sources('b', 15),
      [`${place}/src/b/f0.test.ts`]: '',
      [`${place}/README.md`]: '## Inside\n\n- `a`: the first things here\n- `b`: what comes then\n',
    });
    expect(checkRooms(root, [place], files)).toEqual([`${place}/src/a: 16 files, at most 15`]);
  });

  test('asks for a sentence about each folder in the section "Inside"', () => {
    const files = write({
      ...sources('a', 1),
      ...sources('a/inner', 1),
      ...sources('b', 1),
      [`${place}/README.md`]:
        'Elsewhere `b/` has words enough.\n\n## Inside\n\n| `a/` | what belongs there |\n| `b/` | |\n',
    });
    expect(checkRooms(root, [place], files)).toEqual([
      expect.stringMatching(/does not say what belongs in a\/inner\/$/),
      expect.stringMatching(/does not say what belongs in b\/$/),
    ]);
  });
});
