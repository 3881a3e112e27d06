/** What a command may do to the outside: print, read, and be told to stop. */
import { createInterface } from 'node:readline';

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
  /** Whether progress may redraw its line. */
  readonly isInteractive: boolean;
  readonly columns: number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * The process's own terminal. The first Ctrl-C asks the run to stop with a checkpoint, the second
 * ends the process.
 */
export function processTerminal(): Terminal {
  const controller = new AbortController();
  let handler: (() => void) | undefined;
  const interrupt = (): void => {
    if (handler) return handler();
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nstopping after this step; press Ctrl-C again to end at once\n');
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    write: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(`${text}\n`),
    lines: (prompt, signal) => inputLines(prompt, signal, interrupt),
    onInterrupt(own) {
      handler = own;
      return () => (handler = undefined);
    },
    isInteractive: process.stderr.isTTY === true,
    columns: process.stderr.columns ?? 80,
    signal: controller.signal,
  };
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
