/** What the executable runs. */
import { stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline/promises';
import { runCreateMethod } from './command-line.js';

/** @returns undefined where nobody can answer. */
async function ask(question: string): Promise<string | undefined> {
  if (!stdin.isTTY) return undefined;
  const lines = createInterface({ input: stdin, output: stdout });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

process.exitCode = await runCreateMethod(process.argv.slice(2), {
  out: (text) => void stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
  ask,
});
