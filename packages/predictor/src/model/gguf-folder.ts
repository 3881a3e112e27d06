/** A GGUF file as a base model: the files that Hugging Face has beside weights, made for a while. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeGgufModelFiles } from '@peft/hub';

/** Folders by the file that they were made of, its size and time. */
const made = new Map<string, string>();

/** Whether a reference is a GGUF file. */
export const isGgufFile = (reference: string): boolean =>
  reference.endsWith('.gguf') && statSync(reference, { throwIfNoEntry: false })?.isFile() === true;

/** What folders of processes of this machine (or container) begin with; their number follows. */
const prefix = (): string => `peft-gguf-${hostname()}-`;

/**
 * A temporary folder with config and tokeniser of the model in a GGUF file, removed when the
 * process ends; those of processes that were killed are removed by the next one.
 * @throws PEFT_GGUF_…
 */
export async function ggufFolder(path: string): Promise<string> {
  const { size, mtimeMs } = statSync(path);
  const key = `${resolve(path)} ${size} ${mtimeMs}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  removeLeftOver();
  const folder = await mkdtemp(join(tmpdir(), `${prefix()}${process.pid}-`));
  try {
    await writeGgufModelFiles(path, folder);
  } catch (error) {
    remove(folder);
    throw error;
  }
  if (made.size === 0) process.once('exit', () => made.forEach(remove));
  made.set(key, folder);
  return folder;
}

/** Removes folders of processes that are no more. */
function removeLeftOver(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(prefix())) continue;
    const owner = /^(\d+)-/.exec(name.slice(prefix().length))?.[1];
    if (owner !== undefined && !isRunning(Number(owner))) remove(join(tmpdir(), name));
  }
}

/** Whether there is such a process, also one of another user. */
function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true });
