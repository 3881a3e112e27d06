import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../packages.mjs';
import { LONG_PARTS } from './long-parts.mjs';
import { faultOf } from './snippets/shell-commands.js';

const script = join(ROOT, 'tools/checks/check-long.mjs');

test('every part of the slow gate is a command that exists', () => {
  expect(LONG_PARTS.flatMap(({ command }) => faultOf(command) ?? [])).toEqual([]);
});

test('a part that needs another platform is named, and nothing is kept of it', () => {
  const other = process.platform === 'darwin' ? 'windows' : 'macos';
  const path = join(ROOT, 'benchmarks/results/check-long.json');
  const before = readFileSync(path, 'utf8');
  const printed = execFileSync(process.execPath, [script, '--only', other], { encoding: 'utf8' });
  expect(printed).toMatch(new RegExp(`=== ${other}: not run, it needs (darwin|win32) and this is`));
  expect(readFileSync(path, 'utf8')).toBe(before);
});

test('it lists its parts, and refuses one that it does not have', () => {
  const help = execFileSync(process.execPath, [script, '--help'], { encoding: 'utf8' });
  for (const { name } of LONG_PARTS) expect(help).toContain(name);
  const { status, stderr } = spawnSync(process.execPath, [script, 'sanitiser'], {
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/no part sanitiser: sanitizer, /);
});

test('the kept figures are of parts that there are', () => {
  const path = join(ROOT, 'benchmarks/results/check-long.json');
  expect(existsSync(path)).toBe(true);
  const names = LONG_PARTS.map(({ name }) => name);
  for (const name of Object.keys(JSON.parse(readFileSync(path, 'utf8')) as object))
    expect(names).toContain(name);
});
