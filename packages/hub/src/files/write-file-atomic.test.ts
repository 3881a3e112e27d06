import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { temporaryFolder } from '../../test/support/paths.js';
import { writeFileAtomic, writeFolderAtomic } from './write-file-atomic.js';

describe('writeFileAtomic', () => {
  test('writes text, bytes or pieces, and makes missing folders', async () => {
    const folder = temporaryFolder();
    await writeFileAtomic(join(folder, 'a', 'b', 'text'), 'täxt');
    await writeFileAtomic(join(folder, 'bytes'), Uint8Array.of(1, 2));
    await writeFileAtomic(join(folder, 'pieces'), async (file) => {
      await file.write('one ');
      await file.write('two');
    });
    expect(readFileSync(join(folder, 'a', 'b', 'text'), 'utf8')).toBe('täxt');
    expect(readFileSync(join(folder, 'bytes'))).toEqual(Buffer.of(1, 2));
    expect(readFileSync(join(folder, 'pieces'), 'utf8')).toBe('one two');
    expect(readdirSync(folder).sort()).toEqual(['a', 'bytes', 'pieces']);
  });

  test('keeps the old file whole until the new one is complete, also when writing fails', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    writeFileSync(path, 'old');
    await expect(
      writeFileAtomic(path, async (file) => {
        await file.write('half of the n');
        expect(readFileSync(path, 'utf8')).toBe('old');
        throw new Error('power cut');
      }),
    ).rejects.toThrow('power cut');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['file']);
  });
});

describe('writeFolderAtomic', () => {
  const fill = (text: string) => async (folder: string) => {
    mkdirSync(join(folder, 'inner'));
    await writeFile(join(folder, 'inner', 'file'), text);
  };

  test('shows the folder when it is complete, in a new place or an empty folder', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'new', 'model');
    await writeFolderAtomic(path, async (temporary) => {
      await fill('x')(temporary);
      expect(readdirSync(join(folder, 'new'))).not.toContain('model');
    });
    mkdirSync(join(folder, 'empty'));
    await writeFolderAtomic(join(folder, 'empty'), fill('x'));
    for (const place of [path, join(folder, 'empty')])
      expect(readFileSync(join(place, 'inner', 'file'), 'utf8')).toBe('x');
    expect(readdirSync(folder).sort()).toEqual(['empty', 'new']);
  });

  test('refuses a folder that is not empty, or a file, before anything is written', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), 'mine');
    let called = false;
    const touch = async () => void (called = true);
    expect(await errorCode(() => writeFolderAtomic(folder, touch))).toBe('PEFT_FOLDER_NOT_EMPTY');
    expect(await errorCode(() => writeFolderAtomic(join(folder, 'file'), touch))).toBe(
      'PEFT_FOLDER_NOT_EMPTY',
    );
    expect(called).toBe(false);
  });

  test('replaces a folder when asked to, and keeps the old one when filling fails', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'checkpoint');
    await writeFolderAtomic(path, fill('1'), { replace: true });
    await writeFolderAtomic(path, fill('2'), { replace: true });
    await expect(
      writeFolderAtomic(
        path,
        async (temporary) => {
          await fill('3')(temporary);
          throw new Error('disk full');
        },
        { replace: true },
      ),
    ).rejects.toThrow('disk full');
    expect(readFileSync(join(path, 'inner', 'file'), 'utf8')).toBe('2');
    expect(readdirSync(folder)).toEqual(['checkpoint']);
  });
});
