/**
 * The examples of the READMEs of core, the methods and what they check their options with run as
 * they are written and print what the READMEs say.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folderOf, ROOT } from '../packages.mjs';

const PACKAGES = [
  'errors',
  'core',
  'lora',
  'ia3',
  'bitfit',
  'vera',
  'lycoris',
  'low-rank',
  'sparse',
  'spectral',
  'oft',
  'adalora',
  'trainable-tokens',
  'adapter',
  'prompt-tuning',
  'mam',
  'reft',
  'side',
  'tfjs-layers',
];
const read = (name: string): { code: string; output: string } => {
  const readme = readFileSync(join(ROOT, folderOf(name), 'README.md'), 'utf8');
  return {
    code: /```ts\n([\s\S]*?)```/.exec(readme)![1]!,
    output: /```text\n([\s\S]*?)```/.exec(readme)![1]!,
  };
};

describe('the example of the README', () => {
  let outputs: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'peft-readmes-'));
  beforeAll(() => {
    symlinkSync(
      fileURLToPath(new URL('../../node_modules', import.meta.url)),
      join(folder, 'node_modules'),
    );
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    for (const name of PACKAGES) writeFileSync(join(folder, `${name}.ts`), read(name).code);
    // One process for all: each prints a line before it starts.
    writeFileSync(
      join(folder, 'all.ts'),
      PACKAGES.map((name) => `console.log('=== example');\nawait import('./${name}.ts');\n`).join(
        '',
      ),
    );
    const printed = execFileSync(
      process.execPath,
      ['--conditions=@peft/source', '--import', 'tsx', 'all.ts'],
      { cwd: folder, encoding: 'utf8' },
    );
    outputs = printed.split('=== example\n').slice(1);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(PACKAGES.map((name, i) => ({ name, i })))('of $name', ({ name, i }) => {
    const lines = outputs[i]!.split('\n').filter(
      (line) => !/Platform (browser|node) has already been set|Overwriting the platform/.test(line),
    );
    expect(lines.join('\n').trim()).toBe(read(name).output.trim());
  });
});
