/**
 * Reads a zip file (a wheel) without unpacking what is not wanted. APPNOTE.TXT 6.3, with the 64-bit
 * sizes of large wheels.
 */
import { createReadStream, createWriteStream, promises as fs } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { PeftError } from '@peft/errors';

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly packedSize: number;
  readonly crc: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
  readonly headerOffset: number;
}

const LARGE = 0xffffffff;
const MOST_ENTRIES = 1_000_000;

/** The central directory. @throws PEFT_SETUP_ARCHIVE */
export async function zipEntries(path: string): Promise<ZipEntry[]> {
  const file = await fs.open(path, 'r');
  try {
    const { size } = await file.stat();
    const read = async (offset: number, length: number): Promise<Buffer> => {
      if (offset < 0 || length < 0 || offset + length > size)
        throw damaged(path, 'its directory points outside of it');
      return (await file.read(Buffer.alloc(length), 0, length, offset)).buffer;
    };
    const tail = await read(Math.max(0, size - 65_557), Math.min(size, 65_557));
    const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
    if (end < 0 || end + 22 > tail.length)
      throw damaged(path, 'it has no directory; the download is probably cut short');
    let [count, length, offset] = [
      tail.readUInt16LE(end + 10),
      tail.readUInt32LE(end + 12),
      tail.readUInt32LE(end + 16),
    ];
    if (offset === LARGE || count === 0xffff || length === LARGE) {
      if (end < 20 || tail.readUInt32LE(end - 20) !== 0x07064b50)
        throw damaged(path, 'its 64-bit directory is missing');
      const large = await read(Number(tail.readBigUInt64LE(end - 12)), 56);
      [count, length, offset] = [
        Number(large.readBigUInt64LE(32)),
        Number(large.readBigUInt64LE(40)),
        Number(large.readBigUInt64LE(48)),
      ];
    }
    if (count > MOST_ENTRIES || length > 2 ** 30)
      throw damaged(path, `its directory claims ${count} entries`);
    return parseDirectory(path, await read(offset, length), count);
  } finally {
    await file.close();
  }
}

/**
 * Writes an entry to `target`, whole or not at all.
 * @throws PEFT_SETUP_ARCHIVE when its checksum is wrong
 */
export async function unpackZipEntry(
  path: string,
  entry: ZipEntry,
  target: string,
  onBytes: (count: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (entry.method !== 0 && entry.method !== 8)
    throw damaged(path, `${entry.name} is compressed by method ${entry.method}`);
  const file = await fs.open(path, 'r');
  const header = (await file.read(Buffer.alloc(30), 0, 30, entry.headerOffset)).buffer;
  await file.close();
  if (header.readUInt32LE(0) !== 0x04034b50)
    throw damaged(path, `${entry.name} is not where the directory says`);
  const start = entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
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
      start,
      end: start + entry.packedSize - 1,
      highWaterMark: 1 << 20,
    });
    const out = createWriteStream(temporary);
    const options = signal ? { signal } : {};
    await (
      entry.method === 8
        ? pipeline(packed, createInflateRaw({ chunkSize: 1 << 18 }), check, out, options)
        : pipeline(packed, check, out, options)
    ).catch((error: unknown) => {
      throw (error as { code?: string }).code?.startsWith('Z_')
        ? damaged(path, `${entry.name} does not inflate`)
        : error;
    });
  }
  if (size !== entry.size || crc !== entry.crc)
    throw damaged(path, `${entry.name} has a wrong checksum`);
  await fs.rename(temporary, target);
}

function parseDirectory(path: string, directory: Buffer, count: number): ZipEntry[] {
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let n = 0; n < count; n += 1) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50)
      throw damaged(path, `entry ${n} of its directory is cut`);
    const [nameLength, extraLength, commentLength] = [
      directory.readUInt16LE(at + 28),
      directory.readUInt16LE(at + 30),
      directory.readUInt16LE(at + 32),
    ];
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > directory.length) throw damaged(path, `entry ${n} of its directory is cut`);
    const sizes = [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]; // size, packed size, offset
    const [size, packedSize, headerOffset] = largeSizes(
      directory.subarray(at + 46 + nameLength, next - commentLength),
      sizes,
    );
    entries.push({
      name: directory.toString('utf8', at + 46, at + 46 + nameLength),
      size: size!,
      packedSize: packedSize!,
      headerOffset: headerOffset!,
      crc: directory.readUInt32LE(at + 16),
      method: directory.readUInt16LE(at + 10),
    });
    at = next;
  }
  return entries;
}

/** Sizes that are all ones stand in the extra field 1, in order. */
function largeSizes(extra: Buffer, sizes: readonly number[]): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let field = at + 4;
    return sizes.map((size) => {
      if (size !== LARGE || field + 8 > extra.length) return size;
      field += 8;
      return Number(extra.readBigUInt64LE(field - 8));
    });
  }
  return [...sizes];
}

export const damaged = (path: string, problem: string): PeftError =>
  new PeftError('PEFT_SETUP_ARCHIVE', `setup: ${path} cannot be unpacked: ${problem}.`, {
    hint: 'fetch it again; --from takes wheels and libtensorflow archives (.tar.gz), --tfjs-node a tarball from npm',
  });
