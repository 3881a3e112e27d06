/**
 * Log-probabilities of a reference on disk, for further runs on the same base. A file of its own for
 * each base, `<sha256 of what tells it from others>.reference`: records of 24 bytes, 16 of the key of an
 * answer (`referenceKey`), 4 of its ln π_ref as float32 and 4 of the CRC-32 of these, each in order of
 * its bytes (little endian). Records are put behind one another; what a stopped run has half written
 * is cut off.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, mkdirSync, openSync, readSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { PeftError, show } from '@peft/errors';
import type { ReferenceCache } from './reference-cache.js';

const KEY_BYTES = 16;
const RECORD_BYTES = 24;
/** Records that are read at once. */
const CHUNK = 4096;

/**
 * @param folder made when there is something to keep.
 * @param base what tells the base from all others: a hash of its weights (`hashWeights`). Engine,
 *   precision, quantisation, config and adapters that stay are in the keys.
 * @throws PEFT_REFERENCE_CACHE for a file that cannot be read or written
 */
export function fileReferenceCache(folder: string, base: string): ReferenceCache {
  const path = join(folder, `${createHash('sha256').update(base).digest('hex')}.reference`);
  let kept: Kept | undefined;
  const open = (): Kept => (kept ??= named(path, () => readRecords(path)));
  return {
    get: (key) => open().values.get(key),
    add(more, rank = 0) {
      const { values: known, end } = open();
      const fresh = [...more].filter(([key]) => !known.has(key));
      if (rank === 0)
        named(path, () => {
          // only who writes may cut: what looks half written may be another's that is being written
          if (end !== undefined) truncateSync(path, end);
          kept = { values: known };
          if (fresh.length === 0) return;
          mkdirSync(folder, { recursive: true });
          appendFileSync(path, recordsOf(fresh));
        });
      for (const [key, value] of fresh) known.set(key, Math.fround(value));
    },
  };
}

/** Values of whole records, and where these end, if something else follows. */
interface Kept {
  readonly values: Map<string, number>;
  readonly end?: number;
}

function readRecords(path: string): Kept {
  const values = new Map<string, number>();
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { values };
    throw error;
  }
  try {
    const bytes = Buffer.alloc(CHUNK * RECORD_BYTES);
    let end = 0;
    for (;;) {
      const got = readSync(file, bytes, 0, bytes.length, end);
      for (let at = 0; at + RECORD_BYTES <= got; at += RECORD_BYTES) {
        const record = bytes.subarray(at, at + RECORD_BYTES);
        const value = record.readFloatLE(KEY_BYTES);
        if (record.readUInt32LE(KEY_BYTES + 4) !== sumOf(record) || !Number.isFinite(value))
          return { values, end };
        values.set(record.toString('hex', 0, KEY_BYTES), value);
        end += RECORD_BYTES;
      }
      if (got < bytes.length) return got % RECORD_BYTES === 0 ? { values } : { values, end };
    }
  } finally {
    closeSync(file);
  }
}

function recordsOf(fresh: readonly (readonly [string, number])[]): Buffer {
  const records = Buffer.alloc(fresh.length * RECORD_BYTES);
  fresh.forEach(([key, value], i) => {
    const record = records.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES);
    record.write(key, 'hex');
    record.writeFloatLE(value, KEY_BYTES);
    record.writeUInt32LE(sumOf(record), KEY_BYTES + 4);
  });
  return records;
}

const sumOf = (record: Buffer): number => crc32(record.subarray(0, KEY_BYTES + 4));

/** @throws PEFT_REFERENCE_CACHE for what the system refuses */
function named<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new PeftError(
      'PEFT_REFERENCE_CACHE',
      `preference: the cache ${show(path)} cannot be used: ${(cause as Error).message}.`,
      { hint: 'name a folder that can be written, or none', cause },
    );
  }
}
