/** Runs a TypeScript file of this repository in a process of its own, as if it were this one. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { platform } from 'node:process';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', ...(platform === 'win32' ? [] : ['SIGUSR2'])];

/**
 * Packages are resolved from source. Signals are passed on, the process ends as the file's ended,
 * and when this process is killed the other gets SIGTERM: no orphan stays.
 *
 * @param {string} file
 * @param {readonly string[]} words its arguments
 */
export function runSource(file, words) {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@peft/source',
      `--import=${import.meta.resolve('tsx')}`,
      `--import=${new URL('end-with-parent.mjs', import.meta.url).href}`,
      file,
      ...words,
    ],
    { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] },
  );
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
