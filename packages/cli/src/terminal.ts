/** What a command may do to the outside: print, and be told to stop. */

export interface Terminal {
  /** Results. */
  out(text: string): void;
  /** Progress, warnings and errors. */
  err(text: string): void;
  /** Whether progress may redraw its line. */
  readonly isInteractive: boolean;
  readonly columns: number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** The process's own terminal. The first Ctrl-C asks the run to stop with a checkpoint, the second ends the process. */
export function processTerminal(): Terminal {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nstopping after this step; press Ctrl-C again to end at once\n');
    controller.abort();
  });
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    isInteractive: process.stderr.isTTY === true,
    columns: process.stderr.columns ?? 80,
    signal: controller.signal,
  };
}
