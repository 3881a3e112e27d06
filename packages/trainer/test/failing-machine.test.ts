import { execFile, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { train } from '../src/index.js';
import { pagedRun } from './paged-run.js';
import { adapterBytes, tinyModel } from './tiny-run.js';

const root = mkdtempSync(join(tmpdir(), 'peft-failing-'));
afterAll(() => rmSync(root, { recursive: true }));
const hasLimits = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;
/** A sanitiser's own bookkeeping does not fit into a process whose memory is limited. */
const isSanitized = (process.env['LD_PRELOAD'] ?? '').includes('libasan');

/**
 * Runs in a folder, from its last checkpoint if it has one.
 * @returns the adapter's bytes and where it began
 */
async function run(
  folder: string,
  afterStep4: () => void = () => undefined,
): Promise<{ readonly bytes: Record<string, string>; readonly startedAt: number }> {
  const model = await tinyModel();
  try {
    const { request } = pagedRun(model, folder);
    let startedAt = 0;
    request.bus!.listen((event) => {
      if (event.type === 'run/started') startedAt = event.resumedAtStep ?? 0;
      if (event.type === 'checkpoint/saved' && event.step === 4) afterStep4();
    });
    await train(request);
    return { bytes: adapterBytes(model), startedAt };
  } finally {
    model.dispose();
  }
}

const inChild = async (folder: string, failure: string): Promise<string> => {
  const script = fileURLToPath(new URL('fail-in-child.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    script,
    folder,
    failure,
  ]);
  return stdout;
};

describe('a machine that fails in the middle of a run ends it with a named error and the last checkpoint whole', () => {
  let whole: Record<string, string>;
  beforeAll(async () => {
    whole = (await run(join(root, 'whole'))).bytes;
  });
  const expectWholeAt = async (folder: string, step: number): Promise<void> => {
    expect(await run(folder)).toEqual({ bytes: whole, startedAt: step });
    expect(readdirSync(join(folder, 'pages'))).toEqual([]);
  };
  const pageFile = (folder: string): string =>
    join(folder, 'pages', readdirSync(join(folder, 'pages'))[0]!);

  test('the page file was removed', async () => {
    const folder = join(root, 'removed');
    await expect(run(folder, () => rmSync(pageFile(folder)))).rejects.toMatchObject({
      code: 'PEFT_PAGE_FILE_MISSING',
    });
    await expectWholeAt(folder, 4);
  });

  test('the page file was damaged', async () => {
    const folder = join(root, 'damaged');
    const damage = (): void => {
      const descriptor = openSync(pageFile(folder), 'r+');
      writeSync(descriptor, Uint8Array.of(0x55, 0xaa), 0, 2, 100);
      closeSync(descriptor);
    };
    await expect(run(folder, damage)).rejects.toMatchObject({ code: 'PEFT_PAGE_FILE_CORRUPT' });
    await expectWholeAt(folder, 4);
  });

  test.skipIf(!hasLimits)(
    'the disk under the page file is full (a limit on the size of files; Linux only)',
    async () => {
      const folder = join(root, 'full');
      expect(await inChild(folder, 'full')).toMatch(
        /^PEFT_PAGE_FILE_DISK_FULL\noptim: there is no room for the page file .*: EFBIG: file too large, write\./,
      );
      await expectWholeAt(folder, 4);
    },
  );

  test.skipIf(!hasLimits || isSanitized)(
    'the memory is used up (a limit on the data of the process; Linux only, not under a sanitiser)',
    async () => {
      const folder = join(root, 'memory');
      expect(await inChild(folder, 'memory')).toMatch(
        /^PEFT_MEMORY_EXHAUSTED\ntrainer: the memory ran out \(.*\)\.\n {2}hint: the checkpoint of step 4 is whole: resume from it;/,
      );
      await expectWholeAt(folder, 4);
    },
  );
});
