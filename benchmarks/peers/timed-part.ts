/** One part of a measurement in a process of its own, which may fail or take too long. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface PartOutcome {
  /** Why it did not end well, on one line; undefined where it did. */
  readonly failure?: string;
  /** The last line that it printed that is not empty. */
  readonly lastLine: string;
  readonly seconds: number;
}

/** What is left must be enough to start a process. */
const LEAST_SECONDS = 5;

/**
 * Runs a command in the repository's root.
 * @param mostSeconds it is ended after that.
 * @param endMs by when all must be done, as `Date.now()` tells it.
 */
export function runPart(
  command: readonly string[],
  mostSeconds: number,
  endMs: number,
): PartOutcome {
  const left = (endMs - Date.now()) / 1000;
  if (left < LEAST_SECONDS) return { failure: 'not run: the time is up', lastLine: '', seconds: 0 };
  const limit = Math.min(mostSeconds, left);
  const start = performance.now();
  const { status, error, stdout, stderr } = spawnSync(command[0]!, command.slice(1), {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
    timeout: limit * 1000,
    killSignal: 'SIGKILL',
  });
  const seconds = (performance.now() - start) / 1000;
  const lastLine = lastOf(stdout ?? '');
  if (status === 0) return { lastLine, seconds };
  const isLate = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT';
  const said = isLate
    ? `ended after ${limit.toFixed(0)} s`
    : (error?.message ?? `exit code ${status}: ${lastOf(stderr ?? '') || lastLine}`);
  return { failure: `failed: ${said.replaceAll('|', '/')}`, lastLine, seconds };
}

const lastOf = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .at(-1) ?? '';
