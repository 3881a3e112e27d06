/** A file that is read by position, a span at a time, and never whole. */
import { PeftError } from '@peft/errors';
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** Node refuses to read 2 GiB or more in one call. */
const MAX_READ = 2 ** 30;

export class ReadOnlyFile {
  /** Absolute. */
  readonly path: string;
  /** Bytes, at the time of opening. */
  readonly size: number;
  #descriptor: number | undefined;

  /**
   * @throws PEFT_FILE_OPEN the path is missing, no ordinary file or not readable.
   * @throws PEFT_FILE_LFS_POINTER the file is the stand-in that Git leaves where Git LFS is not
   *   installed.
   */
  constructor(path: string) {
    this.path = resolve(path);
    try {
      // a pipe would wait for ever when opened
      if (!statSync(this.path).isFile()) throw new Error('it is not a file');
      this.#descriptor = openSync(this.path, 'r');
    } catch (cause) {
      throw new PeftError(
        'PEFT_FILE_OPEN',
        `hub: cannot open ${this.path}: ${cause instanceof Error ? cause.message : String(cause)}.`,
        { hint: 'Check the path and the permissions.', cause },
      );
    }
    this.size = fstatSync(this.#descriptor).size;
    const isPointer =
      this.size < 1024 &&
      Buffer.from(this.read(0, Math.min(this.size, 40)))
        .toString('latin1')
        .startsWith('version https://git-lfs.github.com/spec/');
    if (!isPointer) return;
    this.close();
    throw new PeftError(
      'PEFT_FILE_LFS_POINTER',
      `hub: ${this.path} is a pointer of Git LFS, not the file itself.`,
      {
        hint: 'Run "git lfs install" and "git lfs pull" in the repository, or download the file from the hub.',
      },
    );
  }

  /**
   * Bytes `[offset, offset + length)` in a fresh array.
   *
   * @throws PEFT_STORE_CLOSED after `close`.
   * @throws PEFT_FILE_RANGE the span is no part of the file as it was when opened.
   * @throws PEFT_FILE_TRUNCATED the file has become shorter since.
   */
  read(offset: number, length: number): Uint8Array {
    if (this.#descriptor === undefined)
      throw new PeftError('PEFT_STORE_CLOSED', `hub: ${this.path} was closed and is read again.`, {
        hint: 'Close a checkpoint after the last tensor was read.',
      });
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(length) ||
      offset < 0 ||
      length < 0 ||
      offset + length > this.size
    ) {
      throw new PeftError(
        'PEFT_FILE_RANGE',
        `hub: bytes ${offset} to ${offset + length} were asked of ${this.path}, which has ${this.size}.`,
      );
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const count = readSync(
        this.#descriptor,
        bytes,
        done,
        Math.min(length - done, MAX_READ),
        offset + done,
      );
      if (count === 0)
        throw new PeftError(
          'PEFT_FILE_TRUNCATED',
          `hub: ${this.path} ended at byte ${offset + done}; it had ${this.size} bytes when it was opened.`,
          { hint: 'Something shortened the file meanwhile; fetch or write it again.' },
        );
      done += count;
    }
    return bytes;
  }

  /** Closes the descriptor; a second call does nothing. */
  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
