/** Reads the bytes of a file piece by piece, unpacked where gzip packed it. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { unreadable } from './read-options.js';

/** What gzip's files begin with: its two marks, and deflate as the method. */
const GZIP = [0x1f, 0x8b, 8];

/** 256 MB and 100 times the file: texts are packed to a tenth, seldom to a hundredth. */
const mostUnpackedBytes = (fileBytes: number): number => 256e6 + 100 * fileBytes;

/**
 * The bytes of a file; those that a file packed by gzip holds, whatever its name.
 * @throws PEFT_TABLE_UNREADABLE if it cannot be unpacked, or unpacks to over 256 MB and 100 times
 *   its size.
 */
export async function* readBytes(
  path: string,
  limitOf = mostUnpackedBytes,
): AsyncGenerator<Uint8Array> {
  const { isPacked, bytes: fileBytes } = await startOf(path);
  const file = createReadStream(path);
  if (!isPacked) {
    yield* file as AsyncIterable<Uint8Array>;
    return;
  }
  const most = limitOf(fileBytes);
  const unpacked = createGunzip();
  file.on('error', (error) => unpacked.destroy(error));
  file.pipe(unpacked);
  let bytes = 0;
  try {
    for await (const piece of unpacked as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      if (bytes > most)
        throw unreadable(
          path,
          `it unpacks to more than ${most} bytes (256 MB and 100 times the file).`,
          {
            hint: 'If that is right, unpack it (gunzip) and give the file inside.',
          },
        );
      yield piece;
    }
  } catch (cause) {
    if (!isZlibError(cause)) throw cause;
    throw unreadable(path, `gzip's data in it is damaged or cut off (${cause.message}).`, {
      hint: 'Download it again.',
      cause,
    });
  } finally {
    file.destroy();
    unpacked.destroy();
  }
}

async function startOf(path: string): Promise<{ isPacked: boolean; bytes: number }> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(GZIP.length), 0, GZIP.length, 0);
    const isPacked = bytesRead === GZIP.length && GZIP.every((byte, i) => buffer[i] === byte);
    return { isPacked, bytes: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

const isZlibError = (error: unknown): error is Error =>
  error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('Z_');
