/**
 * The table of contents of a zip file (APPNOTE 6.3, with zip64): PyTorch's files of weights, whose
 * entries are stored as they are, and Python wheels, whose entries are deflated. Hostile input:
 * every offset is checked, names are unique, local headers must agree, entries may not overlap.
 */
import { PeftError } from '@peft/errors';
import { ReadOnlyFile } from '../files/read-only-file.js';

/** Where an entry's bytes lie in the file. */
export interface ZipEntry {
  readonly name: string;
  /** Of the first byte of its data, from the beginning of the file. */
  readonly offset: number;
  /** Bytes of its data in the file. */
  readonly packedSize: number;
  /** Bytes of its content. */
  readonly size: number;
  /** Of its content; not checked here. */
  readonly crc32: number;
  /** How the data is packed. */
  readonly method: 'stored' | 'deflated';
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;

/** A table of contents over this many bytes is refused. */
const MAX_DIRECTORY_BYTES = 100_000_000;

/** APPNOTE 4.4.5. */
const METHODS: Readonly<Record<number, ZipEntry['method']>> = { 0: 'stored', 8: 'deflated' };

/**
 * The entries of a zip file by name; folders are left out. The file is closed again.
 *
 * @throws PEFT_ZIP_DAMAGED as {@link readZipDirectory}.
 * @throws PEFT_FILE_OPEN the file is missing or not readable.
 */
export function zipEntries(path: string): Map<string, ZipEntry> {
  const file = new ReadOnlyFile(path);
  try {
    return readZipDirectory(file);
  } finally {
    file.close();
  }
}

/**
 * Reads the entries of an open zip file by name; folders are left out.
 *
 * @throws PEFT_ZIP_DAMAGED the file is cut, encrypted, split over disks, packed in another way than
 *   deflated, has a table of contents over 100 MB, or contradicts itself.
 */
export function readZipDirectory(file: ReadOnlyFile): Map<string, ZipEntry> {
  const { offset, size, count } = findDirectory(file);
  const view = viewOf(file.read(offset, size));
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    if (at + 46 > size || view.getUint32(at, true) !== CENTRAL)
      throw damaged(file, `entry ${i} of ${count} is missing from the table of contents`);
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (next > size) throw damaged(file, `entry ${i} passes the end of the table of contents`);
    const name = Buffer.from(view.buffer, view.byteOffset + at + 46, nameLength).toString('utf8');
    if (entries.has(name)) throw damaged(file, `the entry ${JSON.stringify(name)} occurs twice`);
    if (view.getUint16(at + 8, true) & 1)
      throw damaged(file, `the entry ${JSON.stringify(name)} is encrypted`);
    const packing = view.getUint16(at + 10, true);
    const method = METHODS[packing];
    if (!method)
      throw damaged(file, `the entry ${JSON.stringify(name)} is compressed by method ${packing}`);
    const sizes = entrySizes(view, at, nameLength, extraLength, () =>
      damaged(file, `the entry ${JSON.stringify(name)} lacks its 64-bit sizes`),
    );
    if (method === 'stored' && sizes.packed !== sizes.size)
      throw damaged(
        file,
        `the entry ${JSON.stringify(name)} has two sizes, ${sizes.packed} and ${sizes.size}`,
      );
    if (!name.endsWith('/'))
      entries.set(name, {
        name,
        offset: dataOffset(file, name, sizes.local, sizes.packed, offset),
        packedSize: sizes.packed,
        size: sizes.size,
        method,
        crc32: view.getUint32(at + 16, true),
      });
    at = next;
  }
  refuseOverlaps(file, entries);
  return entries;
}

/** The end record is the last thing in the file, but for a comment of up to 65,535 bytes. */
function findDirectory(file: ReadOnlyFile): { offset: number; size: number; count: number } {
  const tailSize = Math.min(file.size, 22 + 65535);
  const tailStart = file.size - tailSize;
  const tail = viewOf(file.read(tailStart, tailSize));
  let end = tailSize - 22;
  while (
    end >= 0 &&
    !(tail.getUint32(end, true) === END && end + 22 + tail.getUint16(end + 20, true) === tailSize)
  )
    end -= 1;
  if (end < 0) throw damaged(file, 'it has no table of contents');
  let found = {
    count: tail.getUint16(end + 10, true),
    size: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  };
  let limit = tailStart + end;
  if (found.count === 0xffff || found.size === 0xffffffff || found.offset === 0xffffffff) {
    if (limit < 20) throw damaged(file, 'its 64-bit table of contents is missing');
    const locator = viewOf(file.read(limit - 20, 20));
    const at =
      locator.getUint32(0, true) === END_64_LOCATOR
        ? safe(locator.getBigUint64(8, true))
        : Infinity;
    if (at + 56 > limit) throw damaged(file, 'its 64-bit table of contents is missing');
    const record = viewOf(file.read(at, 56));
    if (record.getUint32(0, true) !== END_64)
      throw damaged(file, 'its 64-bit table of contents is missing');
    found = {
      count: safe(record.getBigUint64(32, true)),
      size: safe(record.getBigUint64(40, true)),
      offset: safe(record.getBigUint64(48, true)),
    };
    limit = at;
  }
  if (found.offset + found.size > limit)
    throw damaged(
      file,
      `its table of contents (bytes ${found.offset} to ${found.offset + found.size}) passes its own end`,
    );
  if (found.size > MAX_DIRECTORY_BYTES)
    throw damaged(
      file,
      `its table of contents has ${found.size} bytes, over the limit of ${MAX_DIRECTORY_BYTES}`,
    );
  return found;
}

/** Sizes of a central entry; those of 0xffffffff stand in the zip64 extra field, in this order. */
function entrySizes(
  view: DataView,
  at: number,
  nameLength: number,
  extraLength: number,
  missing: () => PeftError,
): { size: number; packed: number; local: number } {
  const sizes = [
    view.getUint32(at + 24, true),
    view.getUint32(at + 20, true),
    view.getUint32(at + 42, true),
  ]; // size, packed size, local header
  const wide = sizes.map((size) => size === 0xffffffff);
  if (wide.includes(true)) {
    const end = at + 46 + nameLength + extraLength;
    let field = at + 46 + nameLength;
    while (field + 4 <= end && view.getUint16(field, true) !== 1)
      field += 4 + view.getUint16(field + 2, true);
    if (field + 4 > end) throw missing();
    const fieldEnd = Math.min(end, field + 4 + view.getUint16(field + 2, true));
    let value = field + 4;
    for (const i of sizes.keys()) {
      if (!wide[i]) continue;
      if (value + 8 > fieldEnd) throw missing();
      sizes[i] = safe(view.getBigUint64(value, true));
      value += 8;
    }
  }
  return { size: sizes[0]!, packed: sizes[1]!, local: sizes[2]! };
}

/**
 * Data begins after the local header, whose extra field has its own length (PyTorch pads with it).
 */
function dataOffset(
  file: ReadOnlyFile,
  name: string,
  local: number,
  size: number,
  limit: number,
): number {
  const outside = () => damaged(file, `the entry ${JSON.stringify(name)} lies outside the file`);
  if (local + 30 > limit) throw outside();
  const header = viewOf(file.read(local, 30));
  if (header.getUint32(0, true) !== LOCAL)
    throw damaged(file, `the entry ${JSON.stringify(name)} has no header`);
  const nameLength = header.getUint16(26, true);
  const offset = local + 30 + nameLength + header.getUint16(28, true);
  if (offset + size > limit) throw outside();
  if (Buffer.from(file.read(local + 30, nameLength)).toString('utf8') !== name)
    throw damaged(file, `the entry ${JSON.stringify(name)} has another name in its header`);
  return offset;
}

function refuseOverlaps(file: ReadOnlyFile, entries: ReadonlyMap<string, ZipEntry>): void {
  let end = 0;
  for (const entry of [...entries.values()].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset < end)
      throw damaged(file, `the entry ${JSON.stringify(entry.name)} overlaps another`);
    end = entry.offset + entry.packedSize;
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const safe = (value: bigint): number =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
const damaged = (file: ReadOnlyFile, problem: string): PeftError =>
  new PeftError('PEFT_ZIP_DAMAGED', `hub: ${file.path} is no sound zip file: ${problem}.`, {
    hint: 'Fetch the file again.',
  });
