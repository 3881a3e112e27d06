import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
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

describe.skipIf(process.platform === 'win32')('writeFileAtomic on what is no regular file', () => {
  test('writes the target of a symbolic link, and the link stays', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere', 'file'), 'old');
    symlinkSync(join('elsewhere', 'file'), join(folder, 'link'));
    symlinkSync(join('elsewhere', 'missing'), join(folder, 'dangling'));
    symlinkSync('circle', join(folder, 'circle'));
    await writeFileAtomic(join(folder, 'link'), 'new');
    await writeFileAtomic(join(folder, 'dangling'), 'made');
    await expect(writeFileAtomic(join(folder, 'circle'), 'x')).rejects.toThrow('ELOOP');
    expect(readFileSync(join(folder, 'elsewhere', 'file'), 'utf8')).toBe('new');
    expect(readFileSync(join(folder, 'elsewhere', 'missing'), 'utf8')).toBe('made');
    for (const name of ['link', 'dangling'])
      expect(lstatSync(join(folder, name)).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(folder, 'elsewhere')).sort()).toEqual(['file', 'missing']);
  });

  test('writes into a pipe, a device and an open file, and none of them is replaced', async () => {
    const folder = temporaryFolder();
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const [read] = await Promise.all([readFile(pipe, 'utf8'), writeFileAtomic(pipe, 'through')]);
    expect(read).toBe('through');
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    await writeFileAtomic('/dev/null', 'nothing');
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
    const log = openSync(join(folder, 'log'), 'w');
    writeSync(log, 'before ');
    await writeFileAtomic(`/dev/fd/${log}`, 'after');
    closeSync(log);
    expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('before after');
    expect(readdirSync(folder).sort()).toEqual(['log', 'pipe']);
  });

  test('a folder behind a symbolic link is filled, and the link stays', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'target'));
    symlinkSync('target', join(folder, 'link'));
    await writeFolderAtomic(join(folder, 'link'), (made) => writeFile(join(made, 'a'), '1'), {
      replace: true,
    });
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(folder, 'target'))).toEqual(['a']);
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
