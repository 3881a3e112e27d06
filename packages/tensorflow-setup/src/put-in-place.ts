/** The last step of a setup: it becomes the one in use. */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { SETUP_LAYOUT } from '@peft/tensorflow';
import type { Setup } from './setup-options.js';

/**
 * From here on this setup is in use; until the last line the former one is.
 *
 * @returns the folder that the setup has now.
 */
export function putInPlace({ home, partial }: Setup): string {
  const folder = partial.slice(0, -'.partial'.length);
  const former = `${folder}.former`; // in use while there is no `folder`
  if (existsSync(folder)) {
    rmSync(former, { recursive: true, force: true });
    renameSync(folder, former);
  }
  try {
    renameSync(partial, folder);
  } catch (error) {
    if (existsSync(former)) renameSync(former, folder);
    throw error;
  }
  const current = join(home, SETUP_LAYOUT.current);
  writeFileSync(`${current}.tmp`, `${JSON.stringify({ folder: basename(folder) })}\n`);
  renameSync(`${current}.tmp`, current);
  rmSync(former, { recursive: true, force: true });
  return folder;
}
