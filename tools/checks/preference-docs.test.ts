/** The commands of docs/preferences.md run as they are written. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/preferences.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, code]) => code!);

const folder = mkdtempSync(join(tmpdir(), 'peft-preference-docs-'));
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
symlinkSync(join(root, 'packages/testing/fixtures/models/llama'), join(folder, 'model'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What each block prints. */
const EXPECTED: readonly RegExp[] = [
  /reward_accuracy/,
  /reward_accuracy/,
  /-?\d\.\d+/,
  /reward -?[\d.]+ on 2 validation rows[\s\S]*questions\.jsonl +-?[\d.]+/,
];

it.each(blocks.map((code, block) => [code.trim().split('\n').at(-1)!, code, block] as const))(
  '%s',
  (_, code, block) => {
    const script =
      `set -e\nnpx() { shift; "${process.execPath}" ` +
      `"${join(root, 'packages/cli/bin/peft.mjs')}" "$@"; }\n${code}`;
    const printed = execFileSync('bash', ['-c', script], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(printed).toMatch(EXPECTED[block]!);
  },
);
