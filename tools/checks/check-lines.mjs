/**
 * Fails where lines, files or folders are longer than a reader takes: `node
 * tools/checks/check-lines.mjs`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolders, ROOT as root } from '../packages.mjs';
import { measureLines } from './lines.mjs';
import { checkRooms } from './rooms.mjs';

/** Files that are tables: lists of code points, recorded values. */
const DATA = JSON.parse(readFileSync(join(root, 'tools/checks/data-files.json'), 'utf8'));
/** Not Python: its scripts make what tests compare with, formatted by `black -l 100`. */
const SOURCES = /\.(tsx?|mts|cts|mjs|cjs|js|cc|cpp|h|hpp|tpl)$/;

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 26,
})
  .split('\n')
  .filter((file) => SOURCES.test(file) && existsSync(join(root, file)));
const { problems, figures } = measureLines(root, files, DATA);
problems.push(...checkRooms(root, packageFolders(), files));

for (const problem of problems) console.error(problem);
console.log(
  `${figures.files} files, ${figures.lines} lines; over 120 characters: ${figures.longLines} ` +
    `(${((100 * figures.longLines) / figures.lines).toFixed(2)} %); ` +
    `lines of a file: median ${figures.medianFile}, at most ${figures.longestFile}`,
);
process.exit(problems.length ? 1 : 0);
