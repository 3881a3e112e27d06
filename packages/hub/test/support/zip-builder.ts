/** Writes zip files with stored entries for tests, and lies where a test asks for it. */
import { crc32 } from 'node:zlib';

export interface ZipItem {
  readonly name: string;
  readonly data: Uint8Array;
  /** Fields of the central entry that say something else than the truth. */
  readonly lie?: {
    method?: number;
    flags?: number;
    size?: number;
    compressedSize?: number;
    localOffset?: number;
    crc32?: number;
    localName?: string;
  };
}

export interface ZipLies {
  directoryOffset?: number;
  directorySize?: number;
  count?: number;
  /** Writes the sizes in the zip64 records, as PyTorch does above 4 GiB. */
  zip64?: boolean;
  comment?: string;
}

export function zipFile(items: readonly ZipItem[], lies: ZipLies = {}): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, data, lie = {} } of items) {
    const localName = Buffer.from(lie.localName ?? name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(localName.length, 26);
    local.writeUInt16LE(6, 28); // extra field of padding, as PyTorch's
    parts.push(local, localName, Buffer.from([0x46, 0x42, 2, 0, 0, 0]), Buffer.from(data));

    const entryName = Buffer.from(name);
    const size = lie.size ?? data.length;
    const compressed = lie.compressedSize ?? size;
    const localOffset = lie.localOffset ?? offset;
    const extra = Buffer.alloc(lies.zip64 ? 28 : 0);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(lie.flags ?? 0, 8);
    entry.writeUInt16LE(lie.method ?? 0, 10);
    entry.writeUInt32LE(lie.crc32 ?? crc32(data), 16);
    if (lies.zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      [size, compressed, localOffset].forEach((value, i) =>
        extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i),
      );
    }
    [compressed, size].forEach((value, i) =>
      entry.writeUInt32LE(lies.zip64 ? 0xffffffff : value, 20 + 4 * i),
    );
    entry.writeUInt16LE(entryName.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(lies.zip64 ? 0xffffffff : localOffset, 42);
    central.push(entry, entryName, extra);
    offset += 30 + localName.length + 6 + data.length;
  }
  const directory = Buffer.concat(central);
  const directorySize = lies.directorySize ?? directory.length;
  const directoryOffset = lies.directoryOffset ?? offset;
  const count = lies.count ?? items.length;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(lies.zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : directorySize, 12);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : directoryOffset, 16);
  end.writeUInt16LE(Buffer.byteLength(lies.comment ?? ''), 20);
  const wide = lies.zip64
    ? zip64Records(count, directorySize, directoryOffset, offset + directory.length)
    : Buffer.alloc(0);
  return Buffer.concat([...parts, directory, wide, end, Buffer.from(lies.comment ?? '')]);
}

function zip64Records(count: number, size: number, offset: number, at: number): Buffer {
  const out = Buffer.alloc(76);
  out.writeUInt32LE(0x06064b50, 0);
  [count, size, offset].forEach((value, i) => out.writeBigUInt64LE(BigInt(value), 32 + 8 * i));
  out.writeUInt32LE(0x07064b50, 56);
  out.writeBigUInt64LE(BigInt(at), 64);
  return out;
}
