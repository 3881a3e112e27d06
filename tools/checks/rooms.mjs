/**
 * The folders below a package's `src`: each shows few files and is named, with one sentence that
 * says what belongs there, in the section "Inside" of the package's README.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LIMITS } from './lines.mjs';

/**
 * @param {string} root
 * @param {readonly string[]} places folders of packages, relative to the root.
 * @param {readonly string[]} files of the repository, relative to the root.
 * @returns {string[]} problems.
 */
export function checkRooms(root, places, files) {
  return places.flatMap((place) => {
    const source = `${place}/src`;
    const inside = files.filter((file) => file.startsWith(`${source}/`));
    const folders = foldersOf(inside, source);
    return [
      ...[source, ...folders].flatMap((folder) => crowd(folder, inside)),
      ...unnamed(root, place, folders),
    ];
  });
}

/** Every folder between `source` and a file of it. */
function foldersOf(files, source) {
  const folders = new Set();
  for (const file of files)
    for (let folder = dirname(file); folder !== source; folder = dirname(folder))
      folders.add(folder);
  return [...folders].sort();
}

/** A test belongs to the file beside it and is not counted. */
function crowd(folder, files) {
  const shown = files.filter((file) => dirname(file) === folder && !/\.test\.ts$/.test(file));
  return shown.length <= LIMITS.filesOfFolder
    ? []
    : [`${folder}: ${shown.length} files, at most ${LIMITS.filesOfFolder}`];
}

/**
 * A folder is named in code (`name`, `name/` or with its path below the package), in a line that
 * has words enough for a sentence.
 */
function unnamed(root, place, folders) {
  const path = join(root, place, 'README.md');
  const readme = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const section = /^## Inside\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readme)?.[1] ?? '';
  const lines = section.split('\n').map((line) => ({
    names: [...line.matchAll(/`([\w./-]+?)\/?`/g)].map(([, name]) => name.replace(/^src\//, '')),
    words: line.replace(/`[^`]*`/g, '').match(/\p{L}{2,}/gu)?.length ?? 0,
  }));
  const isNamed = (name) =>
    lines.some(
      ({ names, words }) => words >= 3 && (names.includes(name) || names.includes(basename(name))),
    );
  return folders
    .map((folder) => folder.slice(`${place}/src/`.length))
    .filter((name) => !isNamed(name))
    .map(
      (name) => `${place}/README.md: the section "Inside" does not say what belongs in ${name}/`,
    );
}
