/** `peft studio` as a user starts it, over a temporary folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../../../tools/packages.mjs';

export interface StartedStudio {
  /** Where its runs are. */
  readonly folder: string;
  /** The address with its token. */
  readonly url: string;
  /** Ends it as Ctrl-C does. */
  close(): Promise<void>;
}

export async function startStudio(): Promise<StartedStudio> {
  const place = mkdtempSync(join(tmpdir(), 'peft-studio-'));
  const folder = join(place, 'runs');
  const child = spawn(
    process.execPath,
    [join(ROOT, 'packages/cli/bin/peft.mjs'), 'studio', folder, '--no-open'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
  return {
    folder,
    url,
    async close() {
      child.kill('SIGINT');
      await ended;
      rmSync(place, { recursive: true, force: true });
    },
  };
}
