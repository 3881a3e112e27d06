/** A terminal that remembers what was printed. */
import { runCommandLine, type Terminal } from '../src/index.js';

export interface FakeTerminal extends Terminal {
  readonly printed: string[];
  readonly complained: string[];
  abort(): void;
  /** Presses Ctrl-C. */
  interrupt(): void;
}

/** @param typed lines of standard input. */
export function fakeTerminal(typed: readonly string[] = []): FakeTerminal {
  const controller = new AbortController();
  const printed: string[] = [];
  const complained: string[] = [];
  let handler: (() => void) | undefined;
  return {
    printed,
    complained,
    out: (text) => void printed.push(text),
    write: (text) => void printed.push(text),
    err: (text) => void complained.push(text),
    isInteractive: false,
    isForPeople: false,
    columns: 80,
    signal: controller.signal,
    abort: () => controller.abort(),
    interrupt: () => (handler ? handler() : controller.abort()),
    onInterrupt(own) {
      handler = own;
      return () => (handler = undefined);
    },
    sayAtStop: () => undefined,
    async *lines() {
      yield* typed;
    },
  };
}

/** Runs a command line. */
export async function peft(
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const terminal = fakeTerminal();
  const code = await runCommandLine(words, terminal);
  return { code, out: terminal.printed.join('\n'), err: terminal.complained.join('\n') };
}
