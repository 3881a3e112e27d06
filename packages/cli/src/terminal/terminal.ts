/** What a command may do to the outside: print, read, and be told to stop. */
import { createInterface } from 'node:readline';
import { safeText } from './safe-text.js';

/** What a command reads from and writes to; tests put another in its place. */
export interface Terminal {
  /** Results, a line each. */
  out(text: string): void;
  /** A piece of a result, without a line end. */
  write(text: string): void;
  /** Progress, warnings and errors. */
  err(text: string): void;
  /**
   * Lines of standard input until it ends or the signal is aborted; `prompt` is shown before each
   * on a terminal.
   */
  lines(prompt: string, signal: AbortSignal): AsyncIterable<string>;
  /**
   * From now on Ctrl-C calls this, instead of aborting the signal.
   * @returns what gives Ctrl-C its meaning back
   */
  onInterrupt(handler: () => void): () => void;
  /** What happens from now on when the signal is aborted, for whoever pressed Ctrl-C. Default: stopping. */
  sayAtStop(what: string): void;
  /** Whether progress may redraw its line. */
  readonly isInteractive: boolean;
  /** Whether results go to a person, not into a file or another program. */
  readonly isForPeople: boolean;
  readonly columns: number;
  /** Aborted by Ctrl-C, SIGTERM, SIGHUP or SIGUSR2; the reason is a {@link StopSignal}. */
  readonly signal: AbortSignal;
}

/** Why a process was asked to stop. */
export class StopSignal extends Error {
  /** As shells report it: 128 and the signal's number. */
  readonly exitCode: number;

  constructor(readonly signal: keyof typeof STOP_EXIT_CODES) {
    super(`stopped by ${signal}`);
    this.name = 'AbortError';
    this.exitCode = STOP_EXIT_CODES[signal];
  }
}

/**
 * Ctrl-C, what `kill` and supervisors send, the terminal's end, and what `mpirun` passes on to all
 * ranks.
 */
export const STOP_EXIT_CODES = Object.freeze({
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
  SIGUSR2: 140,
} as const);

/**
 * One press of Ctrl-C may arrive several times: from the terminal, and passed on by npx, npm or a
 * clone's wrapper.
 */
const SAME_PRESS_MS = 300;

/**
 * The process's own terminal. The first Ctrl-C, SIGTERM, SIGHUP or SIGUSR2 asks the run to stop with a
 * checkpoint, the second ends the process. Text is shown escaped where it goes to a terminal.
 */
export function processTerminal(): Terminal {
  const controller = new AbortController();
  let handler: (() => void) | undefined;
  let atStop = 'stopping';
  let lastAtMs = Number.NEGATIVE_INFINITY;
  const say = (text: string): void => void process.stderr.write(safeText(text));
  const stop = (signal: keyof typeof STOP_EXIT_CODES): void => {
    const nowMs = performance.now();
    if (nowMs - lastAtMs < SAME_PRESS_MS) return;
    lastAtMs = nowMs;
    if (signal === 'SIGINT' && handler) return handler();
    if (controller.signal.aborted) process.exit(STOP_EXIT_CODES[signal]);
    say(`\n${atStop}; press Ctrl-C again to end at once\n`);
    controller.abort(new StopSignal(signal));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => stop(signal));
  if (process.platform !== 'win32') process.on('SIGUSR2', () => stop('SIGUSR2'));
  surviveLostReaders();
  const isForPeople = process.stdout.isTTY === true;
  const shown = (text: string): string => (isForPeople ? safeText(text) : text);
  return {
    out: (text) => void process.stdout.write(`${shown(text)}\n`),
    write: (text) => void process.stdout.write(shown(text)),
    err: (text) => say(`${text}\n`),
    lines: (prompt, signal) => inputLines(prompt, signal, () => stop('SIGINT')),
    onInterrupt(own) {
      handler = own;
      return () => (handler = undefined);
    },
    sayAtStop: (what) => void (atStop = what),
    isInteractive: process.stderr.isTTY === true,
    isForPeople,
    columns: process.stdout.columns ?? process.stderr.columns ?? 80,
    signal: controller.signal,
  };
}

/**
 * A reader that went away (`peft … | head`, a closed terminal) must not end a run before its
 * checkpoint; results that could not be written for another reason, a full disk, are an error.
 */
function surviveLostReaders(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || code === 'EIO') return;
    process.stderr.write(`error PEFT_OUTPUT_WRITE: the results cannot be written: ${message}\n`);
    process.exit(1);
  });
}

async function* inputLines(
  prompt: string,
  signal: AbortSignal,
  interrupt: () => void,
): AsyncGenerator<string> {
  const isTerminal = process.stdin.isTTY === true;
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: isTerminal,
    prompt,
  });
  let isWaiting = true;
  reader.on('SIGINT', () => {
    // on a terminal the reader sees Ctrl-C first
    interrupt();
    if (isWaiting && !signal.aborted) reader.prompt();
  });
  signal.addEventListener('abort', () => reader.close());
  try {
    if (isTerminal) reader.prompt();
    for await (const line of reader) {
      isWaiting = false;
      yield line;
      isWaiting = true;
      if (isTerminal) reader.prompt();
    }
  } finally {
    reader.close();
  }
}
