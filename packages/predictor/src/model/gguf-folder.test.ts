import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ggufFolder } from './gguf-folder.js';

const MODEL = fileURLToPath(
  new URL('../../../../tools/fuzz/corpus/gguf/qwen3.gguf', import.meta.url),
);
const folderOf = (process: number | undefined): string =>
  join(tmpdir(), `peft-gguf-${hostname()}-${process}-test`);

it('removes what killed processes left, and nothing of those that run', async () => {
  const ended = spawnSync(process.execPath, ['--version']).pid;
  const [left, used] = [folderOf(ended), folderOf(process.ppid)];
  for (const folder of [left, used]) mkdirSync(folder, { recursive: true });
  try {
    const made = await ggufFolder(MODEL);
    expect(existsSync(join(made, 'config.json'))).toBe(true);
    expect(await ggufFolder(MODEL)).toBe(made);
    expect([existsSync(left), existsSync(used)]).toEqual([false, true]);
  } finally {
    for (const folder of [left, used]) rmSync(folder, { recursive: true, force: true });
  }
});
