import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemError } from './system-error.js';

const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

it('says in words what was refused, and where', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'peft-refused-'));
  try {
    expect(systemError(await caught(mkdir(folder)))).toBe(
      `${folder}: it exists already.\n  hint: name another place, or remove it`,
    );
    const missing = join(folder, 'no/such');
    expect(systemError(await caught(readFile(missing)))).toContain(
      `${missing}: there is no such file or folder.`,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('names the folder of a file that was not complete yet', () => {
  const path = '/models/.x.gguf.15993-c6de2f76.tmp';
  const error = Object.assign(new Error('EACCES'), { code: 'EACCES', path, syscall: 'open' });
  expect(systemError(error)).toContain('/models: permission denied.');
});

it('says so of a file that is open, too', () => {
  const error = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' });
  expect(systemError(error)).toContain('write: the disk is full.');
});

it('leaves other errors alone', () => {
  expect(systemError(new Error('no'))).toBeUndefined();
  expect(systemError(Object.assign(new Error('no'), { code: 'ENOENT' }))).toBeUndefined();
  expect(systemError('no')).toBeUndefined();
});
