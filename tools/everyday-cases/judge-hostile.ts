/** Judges hostile inputs, each in a process of its own that may hang or end. */
import { spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesOf, must, withScratch, type Judge } from './everyday-case.js';

const PEFT = fileURLToPath(new URL('../../packages/cli/bin/peft.mjs', import.meta.url));
const RUN = fileURLToPath(new URL('../run-source.mjs', import.meta.url));
const ATTEMPT = fileURLToPath(new URL('attempt.ts', import.meta.url));
const LIMIT_MS = 120_000;
/** A safetensors file without tensors: eight bytes of length, and an empty header. */
const NO_TENSORS = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')]);

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function run(script: string, words: readonly string[]): Promise<Ended> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [script, ...words], { detached: true });
    let output = '';
    child.stdout.on('data', (text) => (output += String(text)));
    child.stderr.on('data', (text) => (output += String(text)));
    const timer = setTimeout(() => {
      process.kill(-child.pid!, 'SIGKILL');
      fail(new Error(`still running after ${LIMIT_MS / 1000} s`));
    }, LIMIT_MS);
    child.on('exit', (code) => {
      clearTimeout(timer);
      done({ code, output });
    });
  });
}

/** An error of ours with its code, and no crash. */
function mustRefuse({ code, output }: Ended): string {
  const named = /PEFT_[A-Z_]+/.exec(output)?.[0];
  must(code !== null && code < 128, 'the process ended by a signal');
  must(named !== undefined, `no named error: ${output.slice(-300)}`);
  return `refused: ${named}`;
}

const attempt =
  (kind: string, pick: (folder: string) => readonly string[]): Judge =>
  async ({ folder, models }) => {
    const seen = [];
    for (const path of pick(folder))
      seen.push(mustRefuse(await run(RUN, [ATTEMPT, kind, path, models])));
    return seen.join(', ');
  };

export const parquet = attempt('table', (folder) => filesOf(folder, '.parquet'));
export const tokenizer = attempt('tokenizer', (folder) => [folder]);

export const patterns: Judge = async ({ folder, models }) => {
  const { output } = await withScratch(async (scratch) => {
    cpSync(folder, scratch, { recursive: true });
    const weights = join(scratch, 'adapter_model.safetensors');
    if (!existsSync(weights)) writeFileSync(weights, NO_TENSORS);
    return run(RUN, [ATTEMPT, 'adapter', scratch, models]);
  });
  return `ended: ${/PEFT_[A-Z_]+/.exec(output)?.[0] ?? 'loaded'}`;
};

export const configBomb: Judge = ({ folder }) =>
  withScratch(async (scratch) => {
    const seen = [];
    for (const path of filesOf(folder, '.json')) {
      copyFileSync(path, join(scratch, 'config.json'));
      seen.push(mustRefuse(await run(PEFT, ['inspect', scratch])));
    }
    return seen.join(', ');
  });

export const runFilePlugin: Judge = async ({ folder }) => {
  const seen = [];
  for (const path of filesOf(folder, '.yaml', '.yml')) {
    const ended = await run(PEFT, ['fit', '-c', resolve(path)]);
    must(!/^code ran$/m.test(ended.output), 'the code in the run file ran');
    seen.push(mustRefuse(ended));
  }
  return seen.join(', ');
};
