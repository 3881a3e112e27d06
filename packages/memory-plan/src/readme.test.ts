import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

it('the example of the README runs as it is written and prints what it says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-memory-plan-readme-'));
  try {
    symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    const readme = readFileSync(here('../README.md'), 'utf8');
    writeFileSync(join(folder, 'example.ts'), /```ts\n([\s\S]*?)```/.exec(readme)![1]!);
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@peft/source', '--import', 'tsx', 'example.ts'], { cwd: folder });
    expect(stdout.slice(stdout.indexOf('weights  ')).trim()).toBe(/```text\n([\s\S]*?)```/.exec(readme)![1]!.trim());
  } finally {
    rmSync(folder, { recursive: true });
  }
});
