/** What processes that were killed while they wrote have left behind. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A name that `temporaryName` makes: `.<name>.<process>-<random>.tmp`. */
const TEMPORARY = /^\.(.+)\.(\d+)-[0-9a-f]{8}\.tmp$/;

/** Which temporary files {@link removeAbandoned} removes. */
export interface AbandonedOptions {
  /** Only what was to become this. Default: everything in the folder. */
  readonly name?: string;
  /**
   * Numbers of processes that live now and are known to write nothing here: an earlier process may
   * have had the same number.
   */
  readonly reused?: readonly number[];
}

/**
 * Removes temporary files and folders of `writeFileAtomic` and `writeFolderAtomic` whose process
 * is gone. A folder that is missing has none.
 */
export async function removeAbandoned(
  folder: string,
  { name, reused = [] }: AbandonedOptions = {},
): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    const [, target, owner] = TEMPORARY.exec(entry) ?? [];
    if (owner === undefined || (name !== undefined && target !== name)) continue;
    if (reused.includes(Number(owner)) || !isLiving(Number(owner)))
      await rm(join(folder, entry), { recursive: true, force: true });
  }
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** Whether a process of this machine has that number. */
export function isLiving(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
