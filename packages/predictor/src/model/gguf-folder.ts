/** A GGUF file as a base model: the files that Hugging Face has beside weights, made for a while. */
import { rmSync, statSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeGgufModelFiles } from '@peft/hub';

/** Folders by the file that they were made of, its size and time. */
const made = new Map<string, string>();

/** Whether a reference is a GGUF file. */
export const isGgufFile = (reference: string): boolean =>
  reference.endsWith('.gguf') && statSync(reference, { throwIfNoEntry: false })?.isFile() === true;

/**
 * A temporary folder with config and tokeniser of the model in a GGUF file, removed when the
 * process ends.
 * @throws PEFT_GGUF_…
 */
export async function ggufFolder(path: string): Promise<string> {
  const { size, mtimeMs } = statSync(path);
  const key = `${resolve(path)} ${size} ${mtimeMs}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  const folder = await mkdtemp(join(tmpdir(), 'peft-gguf-'));
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

const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true });
