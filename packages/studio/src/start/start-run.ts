/** Starts and resumes runs: each a process of its own that outlives the studio. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import { outputFile, OUTPUT_FOLDER, processFile, requestFile } from '../runs/run-output.js';

/** A run's folder below the studio's. */
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_. -]{0,99}$/u;

export interface StartedRun {
  readonly id: string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ readonly code: number | null }>;
}

/**
 * Starts a run in the folder `name` of the studio's.
 * @throws PEFT_STUDIO_NAME for a name that is no folder's or is taken
 */
export function startRun(
  folder: string,
  command: readonly string[],
  name: string,
  request: JsonObject,
): StartedRun {
  if (!NAME.test(name) || name.includes('..'))
    throw new PeftError('PEFT_STUDIO_NAME', `studio: ${show(name)} cannot be a run's name.`, {
      hint: 'take letters, digits, spaces, dots, _ and -, at most 100',
    });
  const output = join(folder, name);
  if (existsSync(output) && readdirSync(output).length > 0)
    throw new PeftError('PEFT_STUDIO_NAME', `studio: there is a folder ${show(name)} already.`, {
      hint: 'take another name',
    });
  return launch(folder, command, name, { ...request, output }, []);
}

/** Goes on with a run from its last checkpoint. */
export const resumeRun = (
  folder: string,
  command: readonly string[],
  id: string,
  request: JsonObject,
): StartedRun =>
  launch(folder, command, id, { ...request, output: join(folder, id) }, ['--resume']);

function launch(
  folder: string,
  [program, ...words]: readonly string[],
  id: string,
  request: JsonObject,
  flags: readonly string[],
): StartedRun {
  mkdirSync(join(folder, OUTPUT_FOLDER), { recursive: true });
  const file = requestFile(folder, id);
  writeFileSync(file, `${JSON.stringify(request, null, 2)}\n`); // JSON is YAML
  const log = openSync(outputFile(folder, id), flags.length > 0 ? 'a' : 'w');
  try {
    const child = spawn(program!, [...words, '-c', file, '--quiet', ...flags], {
      detached: true,
      stdio: ['ignore', log, log],
      windowsHide: true,
    });
    const ended = new Promise<{ code: number | null }>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve({ code }));
    });
    writeFileSync(processFile(folder, id), String(child.pid));
    child.unref();
    return { id, ended };
  } finally {
    closeSync(log);
  }
}
