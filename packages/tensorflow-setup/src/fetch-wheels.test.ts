/** With stand-ins for pip and npm, in the order in which they would be asked. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fetchTfjsNode, fetchWheel } from './fetch-wheels.js';

const WHEEL = 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl';
let folder: string;
let downloads: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-fetch-'));
  downloads = join(folder, 'downloads');
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`);
  vi.stubEnv('npm_execpath', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const program = (name: string, script: string): void =>
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
/** What comes after `--dest` is its folder. */
const pip = (download: string): void =>
  program(
    'python3',
    'case "$*" in *--version*) echo "pip 24.1 from here"; exit 0;; esac\n' +
      'while [ "$1" != --dest ]; do shift; done\n' +
      `${download}`,
  );
const wheel = () => fetchWheel('tensorflow-cpu==2.21.0', { folder: downloads });

describe.skipIf(process.platform === 'win32')('what pip and npm fetch', () => {
  test('is kept once it is whole, and not fetched again', async () => {
    pip(`echo wheel > "$2/${WHEEL}"`);
    expect(await wheel()).toBe(join(downloads, WHEEL));
    pip('exit 1');
    expect(await wheel()).toBe(join(downloads, WHEEL));
  });

  test.each([
    [
      'on a full disk',
      'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device',
      'PEFT_SETUP_SPACE',
    ],
    [
      'without a network',
      'WARNING: Retrying after connection broken by NewConnectionError: Failed to establish a new connection',
      'PEFT_SETUP_OFFLINE',
    ],
    [
      'of a version that is not there',
      'ERROR: Could not find a version that satisfies the requirement (from versions: 2.20.0)',
      'PEFT_SETUP_VERSION',
    ],
    ['refused', 'ERROR: HTTP error 403', 'PEFT_SETUP_DOWNLOAD'],
  ])('%s is half a file that nobody takes for a whole one', async (_why, words, code) => {
    pip(`echo half > "$2/${WHEEL}"; echo "${words}" >&2; exit 1`);
    await expect(wheel()).rejects.toMatchObject({
      code,
      hint: expect.stringMatching(/\w/) as string,
    });
    expect(readdirSync(downloads)).toEqual([]);
  });

  test('of npm is the same', async () => {
    program(
      'npm',
      'while [ "$1" != --pack-destination ]; do shift; done\n' +
        'echo half > "$2/tensorflow-tfjs-node-4.22.0.tgz"; echo "npm error code ECONNREFUSED" ' +
        '>&2; exit 1',
    );
    await expect(fetchTfjsNode('4.22.0', { folder: downloads })).rejects.toMatchObject({
      code: 'PEFT_SETUP_OFFLINE',
    });
    expect(existsSync(join(downloads, 'tensorflow-tfjs-node-4.22.0.tgz'))).toBe(false);
    program(
      'npm',
      'while [ "$1" != --pack-destination ]; do shift; done\necho whole > "$2/tensorflow-tfjs-node-4.22.0.tgz"',
    );
    expect(await fetchTfjsNode('4.22.0', { folder: downloads })).toBe(
      join(downloads, 'tensorflow-tfjs-node-4.22.0.tgz'),
    );
  });
});
