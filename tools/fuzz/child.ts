/**
 * Reads spoiled files, one after another, in a process that may end at any of them: `node
 * tools/run-source.mjs tools/fuzz/child.ts SEED FIRST LAST [READER]`. Tells of each case on
 * standard output, before and after.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { PeftError } from '@peft/errors';
import { mutate } from './mutate.js';
import { pick, seededRandom } from './random.js';
import { fuzzedReaders, type FuzzedReader } from './readers.js';

/** One line of what a child tells. */
export type Told =
  | { readonly at: 'ready'; readonly residentBytes: number }
  | {
      readonly at: 'start';
      readonly index: number;
      readonly reader: string;
      readonly path: string;
      readonly bytes: number;
    }
  | {
      readonly at: 'end';
      readonly index: number;
      /** Code of the error, `read` where it was read, or undefined for a raw error. */
      readonly outcome?: string;
      /** The raw error with its stack. */
      readonly raw?: string;
      readonly peakBytes: number;
    };

const tell = (line: Told): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const [seed = 0, first = 0, last = 0] = process.argv.slice(2, 5).map(Number);
const only = process.argv[5];
const readers = (await fuzzedReaders()).filter(({ name }) => only === undefined || name === only);
const scratch = mkdtempSync(join(tmpdir(), 'peft-fuzz-'));
tell({ at: 'ready', residentBytes: process.memoryUsage.rss() });
for (let index = first; index < last; index += 1) await tryCase(index);
rmSync(scratch, { recursive: true, force: true });
process.exit(0);

async function tryCase(index: number): Promise<void> {
  const random = seededRandom(seed * 1_000_003 + index);
  const reader = readers[index % readers.length]!;
  const round = Math.floor(index / readers.length);
  // the corpus as it is comes first
  const whole = [...reader.seeds, ...(reader.harmful ?? [])];
  const isWhole = round < whole.length;
  const source = isWhole ? whole[round]! : pick(random, reader.seeds);
  const sound = readFileSync(source);
  const bytes = isWhole ? sound : mutate(random, sound, readFileSync(pick(random, reader.seeds)));
  const folder = join(scratch, 'case');
  const path = layOut(reader, folder, source, bytes);
  tell({ at: 'start', index, reader: reader.name, path, bytes: bytes.length });
  const result = await attempt(reader, path, folder);
  tell({ at: 'end', index, ...result, peakBytes: 1024 * process.resourceUsage().maxRSS });
  rmSync(folder, { recursive: true, force: true });
}

function layOut(reader: FuzzedReader, folder: string, source: string, bytes: Uint8Array): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, from] of Object.entries(reader.beside ?? {}))
    copyFileSync(from, join(folder, name));
  const path = join(folder, reader.file ?? `case${extname(source)}`);
  writeFileSync(path, bytes);
  return path;
}

async function attempt(
  reader: FuzzedReader,
  path: string,
  folder: string,
): Promise<{ outcome?: string; raw?: string }> {
  try {
    await reader.read(path, folder);
    return { outcome: 'read' };
  } catch (error) {
    if (error instanceof PeftError) return { outcome: error.code };
    return { raw: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
