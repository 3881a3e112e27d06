/** Writes an entry of a zip file (a wheel) where it is wanted, without reading the others. */
import { createReadStream, createWriteStream, promises as fs } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import type { ZipEntry } from '@peft/hub';
import { damaged } from './damaged-archive.js';

/**
 * Writes an entry to `target`, whole or not at all.
 *
 * @param onBytes called with the bytes of each unpacked piece.
 * @throws PEFT_SETUP_ARCHIVE it does not inflate, inflates to more than the directory says, or its
 *   checksum is wrong.
 */
export async function unpackZipEntry(
  path: string,
  entry: ZipEntry,
  target: string,
  onBytes: (count: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let [crc, size] = [0, 0];
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      crc = crc32(chunk, crc);
      size += chunk.length;
      onBytes(chunk.length);
      done(
        size > entry.size ? damaged(path, `${entry.name} is larger than the directory says`) : null,
        chunk,
      );
    },
  });
  const temporary = `${target}.tmp`;
  if (entry.packedSize === 0) await fs.writeFile(temporary, '');
  else {
    const packed = createReadStream(path, {
      start: entry.offset,
      end: entry.offset + entry.packedSize - 1,
      highWaterMark: 1 << 20,
    });
    const out = createWriteStream(temporary);
    const steps =
      entry.method === 'deflated'
        ? [packed, createInflateRaw({ chunkSize: 1 << 18 }), check, out]
        : [packed, check, out];
    await pipeline(steps, { signal }).catch((error: unknown) => {
      throw (error as { code?: string }).code?.startsWith('Z_')
        ? damaged(path, `${entry.name} does not inflate`)
        : error;
    });
  }
  if (size !== entry.size || crc !== entry.crc32)
    throw damaged(path, `${entry.name} has a wrong checksum`);
  await fs.rename(temporary, target);
}
