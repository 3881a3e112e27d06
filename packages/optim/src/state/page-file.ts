/**
 * A private file that pages are written to and read from by position, with a checksum for each
 * page.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  read,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { PeftError } from '@peft/errors';

/** Codes of a file system that takes no more: full, over quota, file too large. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A temporary file of pages, each with a checksum that is verified when it is read. */
export class PageFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #checksums = new Map<number, number>();
  readonly #removable: boolean;
  #closed = false;

  /** Takes over an open file; `dispose` closes it, and removes it only when told so here. */
  constructor(descriptor: number, filePath: string, removable = false) {
    this.#descriptor = descriptor;
    this.path = filePath;
    this.#removable = removable;
  }

  /**
   * Makes a file with a new name in a folder (made when missing), readable by its owner only.
   * @throws PEFT_PAGE_FILE_DISK_FULL when the folder's file system has fewer than `neededBytes`
   *   free, PEFT_PAGE_FILE_UNUSABLE when it cannot be made.
   */
  static create(directory: string, neededBytes: number): PageFile {
    const filePath = path.join(
      directory,
      `peft-state-${process.pid}-${randomBytes(6).toString('hex')}.pages`,
    );
    try {
      mkdirSync(directory, { recursive: true });
      const { bavail, bsize } = statfsSync(directory);
      if (bavail * bsize < neededBytes)
        throw diskFull(filePath, `${neededBytes} bytes are needed and ${bavail * bsize} are free`);
      const file = new PageFile(openSync(filePath, 'wx+', 0o600), filePath, true);
      removeAtExit(file);
      return file;
    } catch (error) {
      throw explain(error, filePath);
    }
  }

  /**
   * Whether the page at `offset` was ever written. One that was not is all zeros and not in the
   * file.
   */
  has(offset: number): boolean {
    return this.#checksums.has(offset);
  }

  /** @throws PEFT_PAGE_FILE_MISSING when the file was removed or replaced. */
  assertPresent(): void {
    const named = statSync(this.path, { throwIfNoEntry: false });
    if (named?.ino !== fstatSync(this.#descriptor).ino) {
      throw new PeftError(
        'PEFT_PAGE_FILE_MISSING',
        `optim: the page file ${this.path} was ${named ? 'replaced' : 'removed'} while its optimiser state was in use.`,
        {
          hint: 'Resume from the last checkpoint, with the page directory where nothing cleans up.',
        },
      );
    }
  }

  /** @throws PEFT_PAGE_FILE_DISK_FULL. */
  write(offset: number, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;)
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
    } catch (error) {
      throw explain(error, this.path);
    }
    this.#checksums.set(offset, crc32(bytes));
  }

  /** @throws PEFT_PAGE_FILE_CORRUPT when the bytes are not those that were written. */
  read(offset: number, bytes: Uint8Array): void {
    let done = 0;
    try {
      for (let got = 1; done < bytes.length && got > 0; done += got)
        got = readSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
    } catch (error) {
      throw explain(error, this.path);
    }
    if (this.matches(offset, bytes.subarray(0, done), bytes.length)) return;
    const problem =
      done < bytes.length ? `${done} of ${bytes.length} bytes are there` : 'the checksum differs';
    throw new PeftError(
      'PEFT_PAGE_FILE_CORRUPT',
      `optim: the page at byte ${offset} of ${this.path} is not what was written: ${problem}.`,
      {
        hint:
          'Something else wrote to the file, or the disk is failing. ' +
          'Resume from the last checkpoint, with another page directory.',
      },
    );
  }

  /**
   * Reads without blocking, and resolves with how many bytes there were. Use them only if they
   * match.
   */
  readLater(offset: number, bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#descriptor, bytes, 0, bytes.length, offset, (error, count) =>
        error ? reject(explain(error, this.path)) : resolve(count),
      );
    });
  }

  /** Whether the bytes are those of the page as it was written last. */
  matches(offset: number, bytes: Uint8Array, wanted: number): boolean {
    return bytes.length === wanted && crc32(bytes) === this.#checksums.get(offset);
  }

  /** Closes the file and removes it. Idempotent. */
  dispose(): void {
    if (this.#closed) return;
    this.#closed = true;
    openFiles.delete(this);
    closeSync(this.#descriptor);
    if (this.#removable) rmSync(this.path, { force: true });
  }
}

/** Files of a process that ends without disposing. */
const openFiles = new Set<PageFile>();
let listening = false;

function removeAtExit(file: PageFile): void {
  if (!listening) process.once('exit', () => [...openFiles].forEach((left) => left.dispose()));
  listening = true;
  openFiles.add(file);
}

function diskFull(filePath: string, detail: string): PeftError {
  return new PeftError(
    'PEFT_PAGE_FILE_DISK_FULL',
    `optim: there is no room for the page file ${filePath}: ${detail}.`,
    {
      hint:
        'Free space, choose another page directory, raise the residency budget, or use an 8-bit ' +
        'optimiser. After a failure within a step, resume from the last checkpoint.',
    },
  );
}

function explain(error: unknown, filePath: string): PeftError {
  if (error instanceof PeftError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== undefined && FULL.has(code)) return diskFull(filePath, message);
  return new PeftError(
    'PEFT_PAGE_FILE_UNUSABLE',
    `optim: the page file ${filePath} cannot be used: ${message}.`,
    { hint: 'Choose a page directory on a local disk that this user can write to.', cause: error },
  );
}
