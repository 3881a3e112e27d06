/** Puts tfjs-node's scripts and the sources of its addon into the setup's folder. */
import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { cacheFolder, findInstallations, SETUP_LAYOUT } from '@peft/tensorflow';
import { fetchTfjsNode } from './fetch-wheels.js';
import type { Setup } from './setup-options.js';
import { ask, fetchOptions, localFile, unpackOnce } from './archives/take-archive.js';
import { tfjsNodeFiles } from './archives/unpack.js';

/** The version that npm fetches where none is installed or named. */
const TFJS_NODE = '4.22.0';

/**
 * From a folder or tarball that the user named, an installed tfjs-node, or npm.
 *
 * @throws PEFT_SETUP_VERSION it is none of tfjs-node 4.22 to 4.99.
 * @throws PEFT_SETUP_ARCHIVE a folder is not tfjs-node.
 * @throws what {@link unpackOnce}, {@link localFile} and {@link fetchTfjsNode} throw
 */
export async function placeScripts(setup: Setup): Promise<void> {
  const { tfjsNode, partial, downloads } = setup;
  const installed = findInstalledScripts();
  const given = tfjsNode ?? installed;
  if (given && existsSync(given) && statSync(given).isDirectory()) {
    rmSync(join(partial, SETUP_LAYOUT.scripts), { recursive: true, force: true });
    const parts = ['package.json', 'dist', 'binding'];
    const missing = parts.filter((part) => !existsSync(join(given, part)));
    if (missing.length > 0)
      throw new PeftError(
        'PEFT_SETUP_ARCHIVE',
        `setup: the folder ${resolve(given)} is not tfjs-node: it has no ${missing.join(', ')}.`,
        { hint: 'leave --tfjs-node out: npm fetches the right one' },
      );
    for (const part of parts)
      cpSync(join(given, part), join(partial, SETUP_LAYOUT.scripts, part), { recursive: true });
  } else {
    if (!tfjsNode && !existsSync(join(downloads, `tensorflow-tfjs-node-${TFJS_NODE}.tgz`)))
      await ask(setup, `@tensorflow/tfjs-node ${TFJS_NODE} with npm (0.3 MB)`);
    const archive = tfjsNode
      ? await localFile(setup, tfjsNode)
      : await fetchTfjsNode(TFJS_NODE, fetchOptions(setup, 'fetching tfjs-node'));
    await unpackOnce(setup, archive, tfjsNodeFiles);
  }
  const version = scriptsVersion(partial) ?? 'none';
  if (!/^4\.(2[2-9]|[3-9]\d)\./.test(version))
    throw new PeftError(
      'PEFT_SETUP_VERSION',
      `setup: tfjs-node is ${version}, and 4.22 or a later 4 is needed, as the toolkit uses tfjs 4.22.`,
      { hint: 'leave --tfjs-node out: npm fetches the right one' },
    );
}

/** tfjs-node's version in the setup's folder; undefined where its package.json says none. */
export function scriptsVersion(folder: string): string | undefined {
  try {
    const text = readFileSync(join(folder, SETUP_LAYOUT.scripts, 'package.json'), 'utf8');
    const { version } = JSON.parse(text) as { version?: unknown };
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** tfjs-node that npm installed, whether or not its own install script succeeded. */
function findInstalledScripts(): string | undefined {
  const { found } = findInstallations(join(cacheFolder(), 'none'));
  return found.find(({ scripts }) => existsSync(join(scripts, 'binding')))?.scripts;
}
