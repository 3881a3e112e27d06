/** Python's PEFT, where it is installed: `PEFT_PYTHON` names the interpreter, else `python3`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const python = process.env['PEFT_PYTHON'] ?? 'python3';
const probe = spawnSync(
  python,
  ['-c', 'import torch, transformers, peft; print(peft.__version__)'],
  { encoding: 'utf8' },
);

export const hasPeft = probe.status === 0;

/** For a test's title: what runs it, or why it is skipped. */
export const peftTitle = (what: string): string =>
  hasPeft
    ? `${what} (PEFT ${probe.stdout.trim()})`
    : `${what} (skipped: ${python} has no torch, transformers and peft)`;

/** Runs a script of this folder on a list of requests and gives its answers, one for each. */
export function askPeft<Answer>(script: string, requests: readonly unknown[]): Answer[] {
  const folder = mkdtempSync(join(tmpdir(), 'peft-python-'));
  try {
    writeFileSync(join(folder, 'requests.json'), JSON.stringify(requests));
    const run = spawnSync(
      python,
      [fileURLToPath(new URL(script, import.meta.url)), join(folder, 'requests.json')],
      { encoding: 'utf8', maxBuffer: 2 ** 28 },
    );
    if (run.status !== 0) throw new Error(run.stderr);
    return JSON.parse(run.stdout.trim().split('\n').at(-1)!) as Answer[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
