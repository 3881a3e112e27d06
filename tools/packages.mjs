/**
 * The packages of this repository and their folders: flat ones below packages/, engines and methods
 * one level deeper.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Folders below packages/ that hold packages and are none themselves. */
export const GROUPS = ['engines', 'methods'];

const readManifest = (folder) =>
  JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));

/**
 * @param {string} [root] another copy of the repository.
 * @returns {string[]} folders of all packages relative to the root, by name: `packages/core`,
 *   `packages/methods/lora` …
 */
export function packageFolders(root = ROOT) {
  return ['packages', ...GROUPS.map((group) => `packages/${group}`)]
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort();
}

const byName = new Map(packageFolders().map((folder) => [readManifest(folder).name, folder]));

/**
 * @param {string} name with or without its scope: `@peft/lora`, `lora`.
 * @returns {string} its folder relative to the root.
 * @throws Error when no package is called so.
 */
export function folderOf(name) {
  const folder = byName.get(name.startsWith('@') ? name : `@peft/${name}`);
  if (!folder) throw new Error(`no package is called ${name}: ${[...byName.keys()].join(', ')}`);
  return folder;
}

/** @param {string} folder below packages/. @returns whether it holds a method. */
export const isMethodFolder = (folder) => folder.startsWith('packages/methods/');
