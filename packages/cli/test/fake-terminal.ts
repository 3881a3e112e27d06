/** A terminal that remembers what was printed. */
import { runCommandLine, type Terminal } from '../src/index.js';

export interface FakeTerminal extends Terminal {
  readonly printed: string[];
  readonly complained: string[];
  abort(): void;
}

export function fakeTerminal(): FakeTerminal {
  const controller = new AbortController();
  const printed: string[] = [];
  const complained: string[] = [];
  return { printed, complained, out: (text) => void printed.push(text), err: (text) => void complained.push(text), isInteractive: false, columns: 80, signal: controller.signal, abort: () => controller.abort() };
}

/** Runs a command line. */
export async function peft(...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const terminal = fakeTerminal();
  const code = await runCommandLine(words, terminal);
  return { code, out: terminal.printed.join('\n'), err: terminal.complained.join('\n') };
}
