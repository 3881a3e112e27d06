/**
 * What the processes of runs print: `.studio/NAME.log` in the studio's folder, beside the request
 * that each was started with. A run that ends before its folder is made leaves nothing else.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { isLiving } from '@peft/hub';
import type { RunLine } from '../api-types.js';

/** Folder below the studio's. */
export const OUTPUT_FOLDER = '.studio';
const SHOWN_BYTES = 16_384;

/** @param id of a run below the studio's folder. */
export const outputFile = (folder: string, id: string): string =>
  join(folder, OUTPUT_FOLDER, `${fileName(id)}.log`);

/** Where the request lies that the run was started with. */
export const requestFile = (folder: string, id: string): string =>
  join(folder, OUTPUT_FOLDER, `${fileName(id)}.json`);

/** Where the number of its process lies. */
export const processFile = (folder: string, id: string): string =>
  join(folder, OUTPUT_FOLDER, `${fileName(id)}.pid`);

/** The end of what a run's process printed; undefined where this folder's studio did not start it. */
export function lastOutput(folder: string, id: string): string | undefined {
  let file: number;
  try {
    file = openSync(outputFile(folder, id), 'r');
  } catch {
    return undefined;
  }
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, SHOWN_BYTES));
    readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('utf8').replace(/^[^\n]*\uFFFD[^\n]*\n/, '');
  } finally {
    closeSync(file);
  }
}

/** Runs that were started from here and have no folder, for `isKnown` says of the others. */
export function runsWithoutFolder(
  folder: string,
  isKnown: (id: string) => boolean,
): readonly RunLine[] {
  return startedRuns(folder)
    .filter((id) => !isKnown(id))
    .map((id) => {
      const isStarting = isLiving(processIdOf(folder, id));
      return {
        id,
        state: isStarting ? 'starting' : 'not-started',
        problem: isStarting ? undefined : lastError(folder, id),
        startedAtMs: statSync(requestFile(folder, id)).mtimeMs,
        changedAtMs: statSync(outputFile(folder, id)).mtimeMs,
        isWhole: false,
      };
    });
}

/** Forgets a run that never got a folder. */
export function forgetRun(folder: string, id: string): void {
  for (const file of [outputFile, requestFile, processFile])
    rmSync(file(folder, id), { force: true });
}

function startedRuns(folder: string): readonly string[] {
  try {
    return readdirSync(join(folder, OUTPUT_FOLDER))
      .filter((name) => name.endsWith('.pid'))
      .map((name) => decodeURIComponent(name.slice(0, -'.pid'.length)));
  } catch {
    return [];
  }
}

/** NaN, and so nobody, where it cannot be read. */
function processIdOf(folder: string, id: string): number {
  try {
    return Number(readFileSync(processFile(folder, id), 'utf8'));
  } catch {
    return Number.NaN;
  }
}

/** `error CODE: …` with its hint, or the last line. */
function lastError(folder: string, id: string): string | undefined {
  const lines = (lastOutput(folder, id) ?? '').trim().split('\n');
  const from = lines.findLastIndex((line) => line.startsWith('error '));
  return (from < 0 ? lines.slice(-1) : lines.slice(from)).join('\n') || undefined;
}

/** One file name for each id, whatever folders it lies in. */
const fileName = (id: string): string => encodeURIComponent(id);
