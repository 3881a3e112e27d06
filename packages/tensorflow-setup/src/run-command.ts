/** Runs a program and collects what it says. */
import { spawn } from 'node:child_process';

export interface CommandResult {
  /** null: it could not be started, or a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  /** Both streams, in order of arrival. */
  readonly output: string;
  /** `ENOENT`: there is no such program. */
  readonly errorCode?: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Called for each finished line of standard output. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a program to its end and collects its output; it gets no input.
 *
 * @returns also where the program fails or is not found: see `status` and `errorCode`.
 * @throws AbortError the signal ended it
 */
export function runCommand(
  program: string,
  args: readonly string[],
  { cwd, env, signal, onLine }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      cwd,
      env,
      signal,
    });
    let [stdout, output, rest] = ['', '', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      output += text;
      const lines = (rest + text).split(/\r?\n|\r/);
      rest = lines.pop()!;
      if (onLine) for (const line of lines) onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', (error: NodeJS.ErrnoException) =>
      error.name === 'AbortError'
        ? reject(error)
        : resolve({ status: null, stdout, output, errorCode: error.code }),
    );
    child.on('close', (status) => resolve({ status, stdout, output }));
  });
}

/** The last lines of what a program said. */
export const lastLines = (output: string, count = 15): string =>
  output.trim().split('\n').slice(-count).join('\n');
