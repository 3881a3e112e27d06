import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

it('the example of the README runs as it is written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-data-readme-'));
  try {
    symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
    cpSync(here('../../testing/fixtures/models/deberta-v2'), join(folder, 'mdeberta-v3-base'), { recursive: true });
    writeFileSync(join(folder, 'en_train.tsv'), Array.from({ length: 60 }, (_, i) => `${i % 3 ? 'good' : 'poor'}\tThis is review number ${i}.\n`).join(''));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, 'example.ts'), /```ts\n([\s\S]*?)```/.exec(readFileSync(here('../README.md'), 'utf8'))![1]!);
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@peft/source', '--import', 'tsx', 'example.ts'], { cwd: folder });
    const lines = stdout.trim().split('\n');
    // 48 of 60 rows are for training: 32 and 16 rows in micro-batches of 4.
    expect(lines).toHaveLength(13);
    expect(lines[0]).toMatch(/^\d+ tokens$/);
    expect(lines.at(-1)).toBe('0.5');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
