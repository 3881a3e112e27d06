import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** A dozen processes that load the packages from source: minutes. `PEFT_LONG_TESTS=1` runs it. */
const isLong = process.env['PEFT_LONG_TESTS'] === '1';

test.skipIf(!isLong)(
  'a newcomer gets through the README, a typo, Ctrl-C and --resume',
  async () => {
    const script = fileURLToPath(new URL('newcomer.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script, '--here'], {
      maxBuffer: 2 ** 26,
    });
    expect(stdout).toMatch(/Everything did what the README says\.\n$/);
  },
  1_200_000,
);
