/** `peft` in processes of its own, as a clone has it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { LAUNCH_ENVIRONMENT } from '../../mpi/test/mpirun.js';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The command of a clone, and the program below it, which launchers of MPICH must start itself. */
export const command = [process.execPath, join(root, 'packages/cli/bin/peft.mjs')];
export const program = [
  ...[process.execPath, '--conditions=@peft/source', '--import', import.meta.resolve('tsx')],
  join(root, 'packages/cli/src/main.ts'),
];

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function start(words: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(words[0]!, words.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...LAUNCH_ENVIRONMENT },
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, out, err }));
  return { child, ended };
}

export async function completed(...words: readonly string[]): Promise<Ended> {
  const ended = await start(words).ended;
  expect(ended.code, ended.err).toBe(0);
  return ended;
}
