/**
 * Reads a gzipped tar file in one pass, keeping what is wanted. POSIX ustar with GNU's and pax'
 * long names.
 */
import { createReadStream, promises as fs } from 'node:fs';
import { dirname } from 'node:path';
import { createGunzip } from 'node:zlib';
import { damaged } from './damaged-archive.js';

const BLOCK = 512;

/**
 * Writes each wanted file, and each wanted link that names a file beside it.
 * @param targetOf the path to write an entry to, or undefined to leave it out.
 * @returns how many were written
 * @throws PEFT_SETUP_ARCHIVE
 */
export async function unpackTar(
  path: string,
  targetOf: (name: string) => string | undefined,
  onBytes: (count: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const input = createReadStream(path, { highWaterMark: 1 << 20, signal });
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  input.on('error', (error) => gunzip.destroy(error));
  const bytes = new ByteStream(input.pipe(gunzip)[Symbol.asyncIterator]());
  let written = 0;
  let longName = '';
  try {
    for (;;) {
      const header = await bytes.take(BLOCK);
      if (header.length < BLOCK || header.every((byte) => byte === 0)) return written;
      const [size, type] = [numberAt(header, 124, 12), String.fromCharCode(header[156]!)];
      if (!Number.isSafeInteger(size) || size < 0 || checksum(header) !== numberAt(header, 148, 8))
        throw damaged(path, 'a header in it is wrong');
      const name =
        longName || [textAt(header, 345, 155), textAt(header, 0, 100)].filter(Boolean).join('/');
      longName = '';
      if (type === 'L')
        longName = (await content(bytes, size, path)).toString('utf8').replace(/\0.*$/s, '');
      else if (type === 'x')
        longName =
          /(?:^|\n)\d+ path=([^\n]*)\n/.exec(
            (await content(bytes, size, path)).toString('utf8'),
          )?.[1] ?? '';
      else {
        const target = targetOf(name.replace(/^\.\//, ''));
        if (target && (type === '0' || type === '\0'))
          await writeEntry(bytes, size, target, onBytes, path);
        else await skip(bytes, size, path);
        if (target && type === '2' && /^[\w.+-]+$/.test(textAt(header, 157, 100)))
          await link(textAt(header, 157, 100), target);
        if (target) written += 1;
      }
      await skip(bytes, (BLOCK - (size % BLOCK)) % BLOCK, path);
    }
  } catch (error) {
    throw ['Z_DATA_ERROR', 'Z_BUF_ERROR'].includes((error as { code?: string }).code ?? '')
      ? damaged(path, 'it does not inflate; the download is probably cut short')
      : error;
  }
}

async function writeEntry(
  bytes: ByteStream,
  size: number,
  target: string,
  onBytes: (count: number) => void,
  path: string,
): Promise<void> {
  await fs.mkdir(dirname(target), { recursive: true });
  const file = await fs.open(`${target}.tmp`, 'w');
  try {
    for (let left = size; left > 0;) {
      const part = await bytes.take(Math.min(left, 1 << 20));
      if (part.length === 0) throw damaged(path, 'it ends within a file');
      await file.write(part);
      onBytes(part.length);
      left -= part.length;
    }
  } finally {
    await file.close();
  }
  await fs.rename(`${target}.tmp`, target);
}

async function link(name: string, target: string): Promise<void> {
  await fs.mkdir(dirname(target), { recursive: true });
  await fs.rm(target, { force: true });
  await fs.symlink(name, target);
}

async function content(bytes: ByteStream, size: number, path: string): Promise<Buffer> {
  if (size > 1 << 20) throw damaged(path, 'a name in it is too long');
  return bytes.take(size);
}

async function skip(bytes: ByteStream, size: number, path: string): Promise<void> {
  for (let left = size; left > 0;) {
    const part = await bytes.take(Math.min(left, 1 << 20));
    if (part.length === 0) throw damaged(path, 'it ends within a file');
    left -= part.length;
  }
}

const textAt = (header: Buffer, at: number, length: number): string =>
  header.toString('utf8', at, at + length).replace(/\0.*$/s, '');
const numberAt = (header: Buffer, at: number, length: number): number => {
  // GNU's binary form
  if (header[at]! & 0x80) return Number(header.readBigUInt64BE(at + length - 8));
  const digits = textAt(header, at, length).trim();
  return digits === '' ? 0 : Number.parseInt(digits, 8);
};
const checksum = (header: Buffer): number =>
  header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);

/** Chunks of any size as spans of the size asked for. */
class ByteStream {
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(readonly source: AsyncIterator<Buffer>) {}

  /** Fewer than `count` only at the end. */
  async take(count: number): Promise<Buffer> {
    while (this.#length < count) {
      const next = await this.source.next();
      if (next.done) break;
      this.#chunks.push(next.value);
      this.#length += next.value.length;
    }
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const taken = all.subarray(0, count);
    this.#chunks = taken.length < all.length ? [all.subarray(taken.length)] : [];
    this.#length = all.length - taken.length;
    return taken;
  }
}
