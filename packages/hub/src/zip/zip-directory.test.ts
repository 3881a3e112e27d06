import fc from 'fast-check';
import { PeftError } from '@peft/errors';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { temporaryFolder } from '../../test/support/paths.js';
import { type ZipItem, type ZipLies, zipFile } from '../../test/support/zip-builder.js';
import { ReadOnlyFile } from '../files/read-only-file.js';
import { readZipDirectory } from './zip-directory.js';

const items: ZipItem[] = [
  { name: 'm/data.pkl', data: Buffer.from('pickle') },
  { name: 'm/data/0', data: Buffer.from('zero') },
  { name: 'm/data/1', data: new Uint8Array(0) },
];

function withFile<T>(bytes: Uint8Array, act: (file: ReadOnlyFile) => T): T {
  const path = join(temporaryFolder(), 'x.zip');
  writeFileSync(path, bytes);
  const file = new ReadOnlyFile(path);
  try {
    return act(file);
  } finally {
    file.close();
  }
}

describe('readZipDirectory', () => {
  test.each<[string, ZipLies]>([
    ['plain', {}],
    ['with 64-bit sizes', { zip64: true }],
    ['with a comment', { comment: 'PK\x05\x06 is no end' }],
  ])('finds the entries of a zip file %s', (_, lies) => {
    withFile(zipFile(items, lies), (file) => {
      const entries = readZipDirectory(file);
      expect([...entries.keys()]).toEqual(items.map(({ name }) => name));
      for (const { name, data } of items)
        expect(Buffer.from(file.read(entries.get(name)!.offset, entries.get(name)!.size))).toEqual(
          Buffer.from(data),
        );
    });
  });

  test('says where the data of a deflated entry lies and how large its content is', () => {
    const content = Buffer.from('a'.repeat(1000));
    const packed = deflateRawSync(content);
    const item = {
      name: 'a',
      data: packed,
      lie: { method: 8, size: 1000, compressedSize: packed.length },
    };
    withFile(zipFile([item, items[1]!]), (file) => {
      const entry = readZipDirectory(file).get('a')!;
      expect(entry).toMatchObject({ method: 'deflated', size: 1000, packedSize: packed.length });
      expect(inflateRawSync(file.read(entry.offset, entry.packedSize))).toEqual(content);
    });
  });

  const changed = (lie: ZipItem['lie']): ZipItem[] => [{ ...items[0]!, lie }, items[1]!, items[2]!];
  test.each<[string, Uint8Array]>([
    ['is empty', new Uint8Array(0)],
    ['is cut', zipFile(items).subarray(0, 150)],
    ['has a table that begins past the end', zipFile(items, { directoryOffset: 10_000 })],
    ['has a table that is longer than the file', zipFile(items, { directorySize: 10_000 })],
    ['has 64-bit sizes past the end', zipFile(items, { zip64: true, directorySize: 2 ** 60 })],
    ['counts more entries than it has', zipFile(items, { count: 4 })],
    ['has two entries of one name', zipFile([...items, items[0]!])],
    ['is compressed in another way', zipFile(changed({ method: 12 }))],
    ['is encrypted', zipFile(changed({ flags: 1 }))],
    ['has an entry of two sizes', zipFile(changed({ compressedSize: 2 }))],
    ['has an entry past the end', zipFile(changed({ size: 10_000 }))],
    ['has an entry that begins past the end', zipFile(changed({ localOffset: 10_000 }))],
    ['has an entry that overlaps the next', zipFile(changed({ size: 60 }))],
    ['has an entry whose header is elsewhere', zipFile(changed({ localOffset: 3 }))],
    ['has an entry with another name in its header', zipFile(changed({ localName: 'm/evil.pkl' }))],
  ])('refuses a file that %s', async (_, bytes) => {
    expect(await withFile(bytes, (file) => errorCode(() => readZipDirectory(file)))).toBe(
      'PEFT_ZIP_DAMAGED',
    );
  });

  test('one byte changed is refused with a named error or leaves entries inside the file', () => {
    const path = join(temporaryFolder(), 'x.zip');
    const sound = zipFile(items, { zip64: true });
    fc.assert(
      fc.property(fc.nat(sound.length - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(sound);
        bytes[at] = byte;
        writeFileSync(path, bytes);
        const file = new ReadOnlyFile(path);
        try {
          for (const entry of readZipDirectory(file).values())
            expect(entry.offset + entry.packedSize).toBeLessThanOrEqual(sound.length);
        } catch (error) {
          if (!(error instanceof PeftError) || error.code !== 'PEFT_ZIP_DAMAGED') throw error;
        } finally {
          file.close();
        }
      }),
      { seed: 7, numRuns: 1000 },
    );
  });
});
