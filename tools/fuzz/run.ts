/**
 * Spoils files for every reader and watches: `npm run fuzz -- [--seconds 60] [--seed 1] [--only
 * READER]`. A case fails when the process ends, when an error is no `PeftError`, when it takes over
 * 5 s (twice), or when memory grows by more than 1 GB and 256 times the file. The files of failed
 * cases are kept, their folder is printed, and the exit status is 1.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Told } from './child.js';

/** The longest that a case may take, in milliseconds. */
const LIMIT_MS = 5000;
/** What memory may grow by, whatever the file. */
const FREE_BYTES = 1e9;
/** And for each byte of the file. */
const BYTES_PER_BYTE = 256;
/** A process gets as many cases, so that what one case leaves behind harms few. */
const CASES_PER_PROCESS = 2000;

interface Failure {
  readonly index: number;
  readonly reader: string;
  readonly problem: string;
  readonly file: string;
}

const HELP = `npm run fuzz -- [--seconds 60] [--seed 1] [--only READER]
Spoils small files for every reader of files, in child processes: no crash, no raw error,
none over ${LIMIT_MS} ms, memory at most ${FREE_BYTES / 1e9} GB and ${BYTES_PER_BYTE} bytes for each byte of the file.`;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
/** Set when the first child is ready: a start takes seconds. */
let until = Number.POSITIVE_INFINITY;
const kept = mkdtempSync(join(tmpdir(), 'peft-fuzz-failed-'));
const failures: Failure[] = [];
const outcomes = new Map<string, number>();
const perReader = new Map<string, number>();
const slow = new Set<number>();

let next = 0;
while (Date.now() < until) next = await runChild(next, next + CASES_PER_PROCESS);
report();
process.exit(failures.length > 0 || perReader.size === 0 ? 1 : 0);

/** Runs one child from a case on. @returns the case to go on with. */
function runChild(first: number, last: number): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@peft/source',
      '--max-old-space-size=1024',
      '--import',
      'tsx',
      fileURLToPath(new URL('./child.ts', import.meta.url)),
      ...[Number(values.seed), first, last].map(String),
      ...(values.only === undefined ? [] : [values.only]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2000);
  });
  return new Promise((resolve) => {
    let index = first;
    let base = 0;
    let open: (Told & { at: 'start' }) | undefined;
    let timer: NodeJS.Timeout | undefined;
    let lateAgain = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const told = JSON.parse(line) as Told;
      if (told.at === 'ready') {
        base = told.residentBytes;
        until = Math.min(until, Date.now() + 1000 * Number(values.seconds));
      } else if (told.at === 'start') {
        open = told;
        index = told.index;
        timer = setTimeout(() => {
          lateAgain = slow.has(index);
          slow.add(index);
          child.kill('SIGKILL');
        }, LIMIT_MS);
      } else {
        clearTimeout(timer);
        if (open) judge(open, told, base);
        open = undefined;
        index = told.index + 1;
        if (Date.now() >= until) child.kill('SIGKILL');
      }
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (open && slow.has(open.index) && !lateAgain) return resolve(open.index); // once more
      if (open && lateAgain) fail(open, `it takes over ${LIMIT_MS} ms`);
      else if (open && Date.now() < until)
        fail(open, `the process ended (${code ?? signal}): ${words.trim().slice(-500)}`);
      else if (!open && index === first && code !== 0 && Date.now() < until) {
        console.error(words);
        process.exit(2); // it did not even start
      }
      resolve(open ? open.index + 1 : index);
    });
  });
}

function judge(start: Told & { at: 'start' }, end: Told & { at: 'end' }, base: number): void {
  perReader.set(start.reader, (perReader.get(start.reader) ?? 0) + 1);
  const outcome = end.outcome ?? 'raw error';
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  if (end.raw !== undefined) fail(start, end.raw);
  const grown = end.peakBytes - base;
  if (grown > FREE_BYTES + BYTES_PER_BYTE * start.bytes)
    fail(start, `memory grew by ${(grown / 1e6).toFixed(0)} MB for ${start.bytes} bytes`);
}

function fail(start: Told & { at: 'start' }, problem: string): void {
  const file = join(kept, `${start.index}-${basename(start.path)}`);
  if (existsSync(start.path)) copyFileSync(start.path, file);
  failures.push({ index: start.index, reader: start.reader, problem, file });
}

function report(): void {
  const count = [...perReader.values()].reduce((sum, each) => sum + each, 0);
  for (const { index, reader, problem, file } of failures)
    console.log(`\ncase ${index} of ${reader}: ${problem}\n  ${file}`);
  for (const [reader, cases] of perReader) console.log(`${String(cases).padStart(7)}  ${reader}`);
  const read = outcomes.get('read') ?? 0;
  console.log(
    '\n' +
      `${count} cases with seed ${values.seed}: ${read} were read, ${count - read} refused ` +
      `by ${outcomes.size - 1} codes, ${failures.length} failed.`,
  );
}
