/**
 * Whether the files of the cache are what their names say: a blob is called by its hash, and a disk
 * or another program may have spoiled it since it was downloaded. Each is hashed once, when it is
 * first used; a record of its size and time of change says so afterwards.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { writeFileAtomic } from '../files/write-file-atomic.js';

/** Beside the models' folders in the cache, where Python's library does not look. */
const RECORD_FOLDER = '.peft-verified';

/**
 * SHA-256 of the content, or for small files SHA-1 as Git makes it: of "blob <size>\0" and the
 * content.
 *
 * @param etag 64 or 40 hexadecimal digits.
 */
export async function hasHash(path: string, etag: string, size: number): Promise<boolean> {
  const hash =
    etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }))
    hash.update(chunk as Buffer);
  return hash.digest('hex') === etag;
}

/**
 * Whether a file of a snapshot is what its blob's name says. A file that is no link to a blob (a
 * cache without links) has no name to go by and counts as sound.
 *
 * @param cacheDir where the record is kept.
 */
export async function isSoundFile(cacheDir: string, path: string): Promise<boolean> {
  const target = await readlink(path).catch(() => undefined);
  if (target === undefined) return true;
  const blob = resolve(dirname(path), target);
  const etag = basename(blob);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return true;
  const { size, mtimeMs } = await stat(blob);
  const record = join(cacheDir, RECORD_FOLDER, etag);
  const known = await readFile(record, 'utf8').catch(() => '');
  const now = `${size} ${mtimeMs}`;
  if (known === now) return true;
  if (!(await hasHash(blob, etag, size))) return false;
  await recordSound(cacheDir, blob);
  return true;
}

/** Remembers that a blob was hashed and found right. A cache that cannot be written has none. */
export async function recordSound(cacheDir: string, blob: string): Promise<void> {
  const { size, mtimeMs } = await stat(blob);
  await writeFileAtomic(join(cacheDir, RECORD_FOLDER, basename(blob)), `${size} ${mtimeMs}`).catch(
    () => undefined,
  );
}
