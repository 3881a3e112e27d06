/** Odd arguments to every function of the addon, in child processes. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { addonPath } from './fuzz-signatures.mjs';

const script = fileURLToPath(new URL('fuzz-addon.mjs', import.meta.url));
const isThere = existsSync(addonPath());

test.skipIf(!isThere)(
  `10,000 odd calls end no process, hang none and throw named errors${isThere ? '' : ' (skipped: the addon was not compiled)'}`,
  () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [script, '--calls', '10000', '--seed', '15'],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('0 problems');
    expect(status).toBe(0);
  },
  300_000,
);
