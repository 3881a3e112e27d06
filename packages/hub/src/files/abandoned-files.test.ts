import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeAbandoned } from './abandoned-files.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-abandoned-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('removes what processes that are gone had begun, and nothing else', async () => {
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  mkdirSync(join(folder, `.model.${gone}-00ff00ff.tmp`, 'inner'), { recursive: true });
  writeFileSync(join(folder, `..staged.${gone}-00ff00ff.tmp`), '');
  writeFileSync(join(folder, `.run.json.${process.pid}-00ff00ff.tmp`), '');
  writeFileSync(join(folder, `.mine.${gone}.tmp`), '');
  writeFileSync(join(folder, 'model'), '');
  await removeAbandoned(folder, { name: 'model' });
  expect(readdirSync(folder)).toHaveLength(4);
  await removeAbandoned(folder);
  expect(readdirSync(folder).sort()).toEqual([
    `.mine.${gone}.tmp`,
    `.run.json.${process.pid}-00ff00ff.tmp`,
    'model',
  ]);
  await removeAbandoned(folder, { reused: [process.pid] });
  expect(readdirSync(folder)).not.toContain(`.run.json.${process.pid}-00ff00ff.tmp`);
  await removeAbandoned(join(folder, 'missing'));
});
