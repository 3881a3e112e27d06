/** From what a user names, a file, an address or nothing, to files unpacked in the setup's folder. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { download } from '../download.js';
import type { FetchOptions } from '../fetch-wheels.js';
import type { Setup } from '../setup-options.js';
import { unpack, type Choice } from './unpack.js';
import { checkWheelPlatform } from '../wheel-name.js';

/**
 * Unpacks an archive unless its mark says that it was.
 *
 * @throws PEFT_SETUP_WHEEL it is for another machine.
 * @throws PEFT_SETUP_ARCHIVE it is damaged, or nothing in it is of use.
 */
export async function unpackOnce(setup: Setup, archive: string, choose: Choice): Promise<void> {
  checkWheelPlatform(basename(archive));
  const mark = join(setup.partial, `${basename(archive)}.unpacked`);
  const size = String(statSync(archive).size);
  if (existsSync(mark) && readFileSync(mark, 'utf8') === size) return;
  const step = `unpacking ${basename(archive)}`;
  setup.report(step);
  const onBytes = (done: number, total: number | undefined): void =>
    (total && setup.report(step, done / total)) || undefined;
  if (
    (await unpack(archive, setup.partial, choose, {
      onBytes,
      signal: setup.signal,
    })) === 0
  ) {
    throw new PeftError('PEFT_SETUP_ARCHIVE', `setup: nothing in ${archive} is of use.`, {
      hint:
        'give wheels of tensorflow or tensorflow-cpu and of NVIDIA, an official libtensorflow ' +
        'archive, or a tarball of tfjs-node',
    });
  }
  writeFileSync(mark, size);
}

/**
 * The file that a user named; an address is downloaded first, after a question.
 *
 * @throws PEFT_SETUP_ARCHIVE there is no such file, or it is a folder.
 * @throws PEFT_SETUP_DECLINED, PEFT_SETUP_OFFLINE, PEFT_SETUP_DOWNLOAD
 */
export async function localFile(setup: Setup, source: string): Promise<string> {
  if (/^https?:\/\//.test(source)) {
    if (!existsSync(join(setup.downloads, basename(new URL(source).pathname))))
      await ask(setup, source);
    const { onBytes, signal } = fetchOptions(setup, `fetching ${basename(source)}`);
    return download(source, setup.downloads, { onBytes, signal });
  }
  const path = resolve(source);
  if (!existsSync(path))
    throw new PeftError('PEFT_SETUP_ARCHIVE', `setup: there is no file ${path}.`, {
      hint: 'check the path',
    });
  if (statSync(path).isDirectory())
    throw new PeftError(
      'PEFT_SETUP_ARCHIVE',
      `setup: the folder ${path} is not an installed tensorflow package with its library and headers.`,
      { hint: 'name the folder tensorflow in site-packages, a wheel, or an archive' },
    );
  return path;
}

/** @throws PEFT_SETUP_DECLINED the user does not want the download. */
export async function ask({ confirm }: Setup, what: string): Promise<void> {
  if (!(await confirm(`Download ${what}?`)))
    throw new PeftError('PEFT_SETUP_DECLINED', `setup: ${what} was not downloaded.`, {
      hint: 'say --yes to download without being asked, or name a wheel or archive with --from',
    });
}

/** How a download of this setup is made, and told under the name of its step. */
export function fetchOptions({ downloads, signal, report }: Setup, step: string): FetchOptions {
  return {
    folder: downloads,
    signal,
    onBytes: (done: number, total: number | undefined) =>
      (total && report(step, done / total)) || undefined,
  };
}
