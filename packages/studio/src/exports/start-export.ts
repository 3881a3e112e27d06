/** Starts exports: each a process of its own that outlives the studio. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError, show } from '@peft/errors';
import type { ExportableFormat } from '../api-types.js';
import { exportFiles, exportState, type ExportFiles } from './export-state.js';

/** Below the studio's folder, where exports go. */
const FOLDER = 'exports';

export interface AskedExport {
  readonly run: string;
  readonly format: string;
  /** How weights are stored; default the format's first. */
  readonly type: string | undefined;
}

/**
 * Starts an export of a run's model to `exports/RUN/FORMAT` in the studio's folder, or beside an
 * earlier one under a number.
 * @param folder the studio's
 * @param path the run's
 * @throws PEFT_STUDIO_EXPORT for a format or type that there is not, and while one to the same format
 *   goes on
 */
export function startExport(
  folder: string,
  [program, ...words]: readonly string[],
  formats: readonly ExportableFormat[],
  path: string,
  { run, format, type }: AskedExport,
): { readonly ended: Promise<void> } {
  const found = formats.find(({ name }) => name === format);
  if (!found || (type !== undefined && !found.types.includes(type)))
    throw new PeftError(
      'PEFT_STUDIO_EXPORT',
      `studio: nothing is exported to ${show(format)}${type === undefined ? '' : ` as ${show(type)}`}.`,
      { hint: `formats: ${formats.map(({ name }) => name).join(', ')}` },
    );
  const files = exportFiles(folder, run, format);
  if (exportState(files)?.state === 'running')
    throw new PeftError('PEFT_STUDIO_EXPORT', `studio: an export to ${format} goes on already.`, {
      hint: 'wait until it has ended',
    });
  const output = freePath(join(folder, FOLDER, ...run.split('/')), found);
  const types = type === undefined ? [] : ['--type', type];
  return launch(files, program!, [
    ...words,
    path,
    '--to',
    format,
    ...types,
    '-o',
    output,
    '--json',
    // written by itself: the studio may end before it knows the number
    '--process-file',
    files.pid,
  ]);
}

/** `gguf.gguf`, `gguf-2.gguf` …: the first that is not there. */
function freePath(folder: string, { name, fileExtension = '' }: ExportableFormat): string {
  for (let copy = 1; ; copy += 1) {
    const path = join(folder, `${name}${copy === 1 ? '' : `-${copy}`}${fileExtension}`);
    if (!existsSync(path)) return path;
  }
}

function launch(
  { output, log, pid }: ExportFiles,
  program: string,
  words: readonly string[],
): { readonly ended: Promise<void> } {
  mkdirSync(join(output, '..'), { recursive: true });
  rmSync(pid, { force: true });
  const [out, err] = [openSync(output, 'w'), openSync(log, 'w')];
  try {
    const child = spawn(program, words, {
      detached: true,
      stdio: ['ignore', out, err],
      windowsHide: true,
    });
    const ended = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => resolve());
    });
    if (child.pid !== undefined) writeFileSync(pid, String(child.pid));
    child.unref();
    return { ended };
  } finally {
    closeSync(out);
    closeSync(err);
  }
}
