/**
 * How exports stand, by what their processes printed: `.studio/exports/RUN.FORMAT.json` has the
 * result, `.log` progress and errors, `.pid` the process.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLiving } from '@peft/hub';
import type { ExportState } from '../api-types.js';
import { OUTPUT_FOLDER } from '../runs/run-output.js';

/** Of a log, so much of its end is read. */
const READ_CHARACTERS = 16_384;

/** Where an export's process prints. */
export interface ExportFiles {
  /** What it wrote, as JSON; empty until it has. */
  readonly output: string;
  readonly log: string;
  readonly pid: string;
}

/** What `peft export --json` prints. */
interface PrintedResult {
  readonly output: string;
  readonly type?: string;
  readonly files: readonly { readonly bytes: number }[];
  readonly warnings: readonly string[];
  readonly next: readonly string[];
}

/** @param run of a run below the studio's folder. */
export function exportFiles(folder: string, run: string, format: string): ExportFiles {
  const place = join(folder, OUTPUT_FOLDER, 'exports', encodeURIComponent(`${run}.${format}`));
  return { output: `${place}.json`, log: `${place}.log`, pid: `${place}.pid` };
}

/** undefined where nothing was exported to that format. */
export function exportState({ output, log, pid }: ExportFiles): ExportState | undefined {
  const printed = textOf(output);
  if (printed === undefined) return undefined;
  const result = resultIn(printed);
  if (result)
    return {
      state: 'finished',
      output: result.output,
      type: result.type,
      bytes: result.files.reduce((sum, { bytes }) => sum + bytes, 0),
      warnings: result.warnings,
      next: result.next,
    };
  const lines = (textOf(log) ?? '').slice(-READ_CHARACTERS).trim().split('\n');
  const from = lines.findLastIndex((line) => line.startsWith('error '));
  if (from >= 0) return { state: 'failed', message: lines.slice(from).join('\n') };
  if (isLiving(Number(textOf(pid) ?? Number.NaN)))
    return { state: 'running', share: shareIn(lines) };
  return { state: 'failed', message: lines.at(-1) || 'Its process ended without saying why.' };
}

/** The last `(45 %)` of its progress, 0 to 1. */
function shareIn(lines: readonly string[]): number {
  const told = lines.findLast((line) => /^written .*\(\d+ %\)$/.test(line));
  return told === undefined ? 0 : Number(/(\d+) %/.exec(told)![1]) / 100;
}

/** undefined where it is not yet whole, or an error, which the log tells, too. */
function resultIn(text: string): PrintedResult | undefined {
  try {
    const printed = JSON.parse(text) as Partial<PrintedResult>;
    return Array.isArray(printed.files) ? (printed as PrintedResult) : undefined;
  } catch {
    return undefined;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
