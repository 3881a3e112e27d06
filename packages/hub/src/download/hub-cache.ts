/**
 * The cache on disk, in the layout of Python's `huggingface_hub`, so that both share it:
 * `models--org--name/refs/<revision>` holds a commit, `snapshots/<commit>/<file>` links to
 * `blobs/<etag>`.
 */
import {
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  link,
} from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { readCheckpointIndex } from '../safetensors/checkpoint-index.js';
import { temporaryName, writeFileAtomic } from '../files/write-file-atomic.js';
import { type ModelFileKind, selectModelFiles } from './model-files.js';
import { isSoundFile, recordSound } from './verified-blobs.js';

/** `model-00001-of-00003.safetensors` and the like. */
const SHARD = /-\d{5}-of-\d{5}\./;

/** The folder of one model in the cache. */
export class ModelCache {
  readonly #cacheDir: string;
  readonly #folder: string;

  /** @param name `org/model` or `model`, checked before. */
  constructor(cacheDir: string, name: string) {
    this.#cacheDir = cacheDir;
    this.#folder = join(cacheDir, `models--${name.replace('/', '--')}`);
  }

  snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }

  blob(etag: string): string {
    return join(this.#folder, 'blobs', etag);
  }

  /** The commit that the revision was when it was last downloaded. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    try {
      const commit = (await readFile(join(this.#folder, 'refs', revision), 'utf8')).trim();
      return isCommit(commit) ? commit : undefined;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
        return undefined;
      throw error;
    }
  }

  /**
   * The commit of the only snapshot: what a download by commit leaves names no revision. Undefined
   * where there is none, or several.
   */
  async onlyCommit(): Promise<string | undefined> {
    const names = await readdir(join(this.#folder, 'snapshots')).catch(() => []);
    return names.length === 1 && isCommit(names[0]!) ? names[0] : undefined;
  }

  async setCommit(revision: string, commit: string): Promise<void> {
    if (!isCommit(revision)) await writeFileAtomic(join(this.#folder, 'refs', revision), commit);
  }

  /** Kinds of files that the snapshot lacks, wholly or in part. */
  async missingKinds(commit: string, kinds: readonly ModelFileKind[]): Promise<ModelFileKind[]> {
    const folder = this.snapshot(commit);
    const names = await this.#filesOf(commit);
    const { missing, index } = selectModelFiles(names, kinds);
    if (!index) return [...missing];
    const { shards } = readCheckpointIndex(join(folder, index));
    return shards.every((shard) => names.includes(shard)) ? [...missing] : [...missing, 'weights'];
  }

  /**
   * Files of these kinds whose content is not what their blob's name says. Each is hashed once,
   * when it is first asked for.
   */
  async spoiledFiles(commit: string, kinds: readonly ModelFileKind[]): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names = await this.#filesOf(commit);
    const { files } = selectModelFiles(names, kinds);
    // an index that is spoiled itself names no shards to look at
    const shards = kinds.includes('weights') ? names.filter((name) => SHARD.test(name)) : [];
    const spoiled: string[] = [];
    for (const name of new Set([...files, ...shards]))
      if (!(await isSoundFile(this.#cacheDir, join(folder, name)))) spoiled.push(name);
    return spoiled;
  }

  /** Takes away blobs that are no use, so that they are downloaded again. */
  async removeBlobs(commit: string, names: readonly string[]): Promise<void> {
    for (const name of names) {
      const path = join(this.snapshot(commit), name);
      await rm(resolve(dirname(path), await readlink(path)), { force: true });
    }
  }

  /** Remembers that a blob was hashed. */
  async recordSound(etag: string): Promise<void> {
    await recordSound(this.#cacheDir, this.blob(etag));
  }

  /** Names of the snapshot's files that are there. */
  async #filesOf(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names: string[] = [];
    for (const name of await readdir(folder).catch(() => []))
      if (await isFile(join(folder, name))) names.push(name);
    return names;
  }

  /**
   * Makes the blob appear as a file of the snapshot: a relative link, or a second name of it where
   * links are not allowed.
   */
  async linkFile(commit: string, name: string, etag: string): Promise<void> {
    const path = join(this.snapshot(commit), name);
    const target = relative(dirname(path), this.blob(etag));
    if ((await readlink(path).catch(() => undefined)) === target) return;
    await mkdir(dirname(path), { recursive: true });
    const temporary = temporaryName(path);
    try {
      await symlink(target, temporary);
    } catch (error) {
      // Windows without developer mode
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
      await link(this.blob(etag), temporary);
    }
    await rename(temporary, path);
  }
}

/** A full Git commit, which never changes its content. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The size of a file, or undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

const isFile = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isFile() ?? false; // follows links
