import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const judge = (cases: string) =>
  spawnSync(
    process.execPath,
    [join(HERE, '../run-source.mjs'), join(HERE, 'run.ts'), '--cases', cases],
    { encoding: 'utf8' },
  );

it('judges the kept inputs, and says what it does not know', () => {
  const { stdout, status } = judge(join(HERE, 'fixtures'));
  expect(
    stdout
      .replace(/ {2,}.*/gm, '')
      .trim()
      .split('\n'),
  ).toEqual([
    'passed',
    'passed',
    'passed',
    'passed',
    'passed',
    'unjudged',
    '5 passed, 0 failed, 1 not judged',
  ]);
  expect(stdout).toContain('unknown-kind');
  expect(status).toBe(0);
}, 120_000);

it('fails for a case that goes wrong', () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-cases-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(join(HERE, 'fixtures/semicolon-csv'), join(folder, 'semicolon-csv'), { recursive: true });
  writeFileSync(join(folder, 'semicolon-csv/ragged.csv'), 'a;b\n1;2;3\n1\n');
  const { stdout, status } = judge(folder);
  expect(stdout).toContain('failed');
  expect(status).toBe(1);
}, 120_000);
