/** Tables that a person dropped onto the page or named: the only ones that a request reads. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { isTablePath, TABLE_ENDINGS } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import { isInside } from '../runs/run-index.js';

/** Below the studio's folder. */
const FOLDER = 'tables';
export class TableStore {
  readonly #folder: string;
  readonly #named = new Set<string>();

  /** @param folder the studio's. */
  constructor(folder: string) {
    this.#folder = join(folder, FOLDER);
  }

  /** Those that were dropped here, by path. */
  dropped(): readonly string[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .filter(isTablePath)
      .map((name) => join(this.#folder, name));
  }

  /**
   * Takes a path that the person typed.
   * @returns it, absolute
   * @throws PEFT_STUDIO_TABLE for a relative path, and for what does not end as a table does
   */
  name(path: string): string {
    if (!isAbsolute(path) || !isTablePath(path)) throw noTable(path, 'a whole path');
    const whole = resolve(path);
    this.#named.add(whole);
    return whole;
  }

  /** @throws PEFT_STUDIO_TABLE for a path that was neither dropped nor named */
  require(path: unknown): string {
    if (typeof path === 'string') {
      const whole = resolve(path);
      if (this.#named.has(whole) || isInside(this.#folder, whole)) return whole;
    }
    throw new PeftError('PEFT_STUDIO_TABLE', `studio: nobody chose the table ${show(path)}.`, {
      hint: 'drop it onto the page, or type its path',
    });
  }

  /**
   * Keeps a dropped file under its name, or under another where a different file has it.
   * @returns its path
   * @throws PEFT_STUDIO_TABLE
   */
  async drop(name: string, content: ReadableStream<Uint8Array>): Promise<string> {
    const plain = basename(name.replaceAll('\\', '/'));
    if (!isTablePath(plain)) throw noTable(name, 'a name');
    mkdirSync(this.#folder, { recursive: true });
    const half = join(this.#folder, `.${randomUUID()}.tmp`);
    try {
      await pipeline(Readable.fromWeb(content), createWriteStream(half));
      const hash = await hashOf(half);
      for (let copy = 1; ; copy += 1) {
        const path = join(this.#folder, numbered(plain, copy));
        if (!existsSync(path)) {
          await rename(half, path);
          return path;
        }
        if ((await hashOf(path)) === hash) return path;
      }
    } finally {
      await rm(half, { force: true });
    }
  }
}

const noTable = (path: string, what: string): PeftError =>
  new PeftError('PEFT_STUDIO_TABLE', `studio: ${show(path)} names no table.`, {
    hint: `give ${what} that ends in ${TABLE_ENDINGS.join(', ')}`,
  });

/** `train.csv`, `train-2.csv` … */
const numbered = (name: string, copy: number): string =>
  copy === 1 ? name : name.replace(/(\.[^.]*(?:\.gz)?)$/i, `-${copy}$1`);

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
