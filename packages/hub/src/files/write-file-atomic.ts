/**
 * Writing so that a reader, or a machine that loses power, sees the old file or the new one and
 * never half of one.
 */
import { PeftError } from '@peft/errors';
import { randomBytes } from 'node:crypto';
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** Bytes of a file, or a function that writes them piece by piece. */
export type FileContent = string | Uint8Array | ((file: FileHandle) => Promise<void>);

/**
 * Writes a file under a temporary name beside it, flushes it to the disk and renames it. Missing
 * folders are made. When anything fails, the old file (if any) stays as it was and the temporary
 * one is removed.
 *
 * What is no regular file is written through and never replaced: a symbolic link keeps its place
 * and its target is written, a pipe or a device (`/dev/stdout`, `/dev/null`) takes the bytes.
 */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  const place = await placeOf(path);
  if (place.isStream) return writeThrough(place.path, content);
  const folder = dirname(place.path);
  await mkdir(folder, { recursive: true });
  const temporary = temporaryName(place.path);
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeContent(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, place.path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** What is open already, by its number: it may be a file that others write to as well. */
const OPEN_FILE = /^\/(dev\/fd|proc\/(self|thread-self|\d+)\/fd)\/\d+$/;

/** Where bytes written to `path` go: at the end of symbolic links, absolute. */
async function placeOf(
  path: string,
): Promise<{ readonly path: string; readonly isStream: boolean }> {
  const absolute = resolve(path);
  if (OPEN_FILE.test(absolute)) return { path: absolute, isStream: true };
  const stats = await lstat(absolute).catch(unlessMissing);
  if (!stats?.isSymbolicLink())
    return {
      path: absolute,
      isStream: stats !== undefined && !stats.isFile() && !stats.isDirectory(),
    };
  await stat(absolute).catch(unlessMissing); // a circle of links is an error here
  return placeOf(resolve(dirname(absolute), await readlink(absolute)));
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

/** Appends, so that a file behind an open stream keeps what stands in it. */
async function writeThrough(path: string, content: FileContent): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error) {
    // a socket cannot be opened by its name, which is what a parent process may have given
    const stream = standardStream(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO' || !stream) throw error;
    if (typeof content === 'function') throw error;
    await new Promise<void>((written, failed) =>
      stream.write(content, (problem) => (problem ? failed(problem) : written())),
    );
    return;
  }
  try {
    await writeContent(file, content);
  } finally {
    await file.close();
  }
}

const standardStream = (path: string): NodeJS.WriteStream | undefined =>
  ({ '1': process.stdout, '2': process.stderr })[basename(path)];

const writeContent = (file: FileHandle, content: FileContent): Promise<void> =>
  typeof content === 'function' ? content(file) : file.writeFile(content);

/**
 * Makes a folder under a temporary name beside its place, lets `fill` write into it, flushes all of
 * it and renames it. A symbolic link keeps its place; its target is written.
 *
 * @param fill writes files into the folder it is given.
 * @param options.replace what stands in the place is removed after the new folder is complete.
 *   Default false.
 * @throws PEFT_FOLDER_NOT_EMPTY without `replace`, when the place holds something already; nothing
 *   is written then.
 */
export async function writeFolderAtomic(
  path: string,
  fill: (temporaryFolder: string) => Promise<void>,
  options: { replace?: boolean } = {},
): Promise<void> {
  const place = (await placeOf(path)).path;
  const parent = dirname(place);
  await mkdir(parent, { recursive: true });
  if (!options.replace) await refuseFull(path);
  const temporary = temporaryName(place);
  try {
    await mkdir(temporary);
    await fill(temporary);
    await syncTree(temporary);
    if (options.replace) await replaceFolder(temporary, place);
    else await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(parent);
}

/** @throws PEFT_FOLDER_NOT_EMPTY unless the path is free or an empty folder. */
export async function refuseFull(path: string): Promise<void> {
  let entries: string[];
  try {
    entries = await readdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code !== 'ENOTDIR') throw error;
    throw new PeftError('PEFT_FOLDER_NOT_EMPTY', `hub: ${resolve(path)} exists already.`, {
      hint: 'Choose another name, or remove it.',
    });
  }
  if (entries.length > 0)
    throw new PeftError(
      'PEFT_FOLDER_NOT_EMPTY',
      `hub: ${resolve(path)} is not empty (it holds ${entries.slice(0, 3).join(', ')}${entries.length > 3 ? ', …' : ''}).`,
      { hint: 'Choose another folder, or remove what is there.' },
    );
}

/** The old folder steps aside first, since a rename cannot replace a folder that is not empty. */
async function replaceFolder(temporary: string, path: string): Promise<void> {
  const aside = temporaryName(path);
  const hadOld = await rename(path, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  try {
    await rename(temporary, path);
  } catch (error) {
    if (hadOld) await rename(aside, path);
    throw error;
  }
  if (hadOld) await rm(aside, { recursive: true, force: true });
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const file = await open(path, 'r+');
      await file.sync().finally(() => file.close());
    }
  }
  await syncFolder(folder);
}

/**
 * Makes a rename in the folder durable. Some systems cannot flush a folder; the rename itself has
 * happened there.
 */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (
      !['EINVAL', 'ENOTSUP', 'EPERM', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')
    )
      throw error;
  } finally {
    await handle.close();
  }
}

/** A fresh name beside `path`. */
export const temporaryName = (path: string): string =>
  join(
    dirname(resolve(path)),
    `.${basename(resolve(path))}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`,
  );
