import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { missingLibrary } from './missing-library.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const reason = missingLibrary();

test.skipIf(reason)(`the example of the README runs as it is written and prints what it says${reason ? ` (skipped: ${reason})` : ''}`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-tensorflow-readme-'));
  try {
    symlinkSync(here('../../../node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(here('../README.md'), 'utf8'))![1]!;
    writeFileSync(join(folder, 'example.ts'), example);
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@peft/source', '--import', 'tsx', 'example.ts'], { cwd: folder });
    const promised = [...example.matchAll(/^console\.log\(.*\/\/ (.*)$/gm)].map(([, comment]) => comment!);
    const [description, product] = stdout.trim().split('\n').slice(-promised.length);
    const general = (text: string) => text.replace(/\d+(\.\d+)* \(.*(?=, )/, 'VERSION (DEVICE'); // which depend on the machine
    expect([general(description!), product!.replace(/\s/g, '')]).toEqual([general(promised[0]!), promised[1]!.replace(/\s/g, '')]);
    expect(general(description!)).toBe('tensorflow VERSION (DEVICE, float32)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
