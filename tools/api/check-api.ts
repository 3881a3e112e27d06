/**
 * Keeps what each package exports in `docs/api`, so that a change of a public type is seen in
 * review: `npm run check:api` fails where the two differ, `npm run check:api -- --update` writes.
 * It fails, too, where a package exports something without a docstring.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packageFolders, ROOT } from '../packages.mjs';
import { apiProgram } from './api-program.js';
import { publicDeclarations } from './public-declarations.js';
import { undocumentedExports } from './undocumented-exports.js';

const FOLDER = join(ROOT, 'docs/api');
const words = process.argv.slice(2);
if (words.includes('--help')) {
  console.log('npm run check:api [-- --update]');
  process.exit(0);
}
const isUpdate = words.includes('--update');

const nameOf = (folder: string): string =>
  (
    JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as { name: string }
  ).name.slice('@peft/'.length);
const entries = new Map(
  packageFolders()
    .map((folder) => [nameOf(folder), join(ROOT, folder, 'src/index.ts')] as const)
    .filter(([, entry]) => existsSync(entry)),
);
const program = apiProgram([...entries.values()]);
const reports = publicDeclarations(program, [...entries.values()]);

mkdirSync(FOLDER, { recursive: true });
const changed: string[] = [];
for (const [name, entry] of entries) {
  const path = join(FOLDER, `${name}.api.txt`);
  const kept = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const report = reports.get(entry)!;
  if (kept === report) continue;
  if (isUpdate) writeFileSync(path, report);
  else changed.push(`${name}: ${firstDifference(kept, report)}`);
}
for (const file of readdirSync(FOLDER)) {
  if (entries.has(basename(file, '.api.txt'))) continue;
  if (isUpdate) rmSync(join(FOLDER, file));
  else changed.push(`${file}: no package is called so`);
}
for (const line of changed) console.error(line);
console.log(
  changed.length
    ? `${changed.length} packages export something else than docs/api says: npm run ` +
        'check:api -- --update, and look at the difference'
    : `${entries.size} packages export what docs/api says`,
);
const undocumented = [...entries.values()].flatMap((entry) => undocumentedExports(program, entry));
for (const line of undocumented) console.error(`${line} has no docstring`);
process.exit(changed.length || undocumented.length ? 1 : 0);

/** The first line that one of them has and the other has not. */
function firstDifference(kept: string, report: string): string {
  const [old, now] = [kept.split('\n'), report.split('\n')];
  const at = now.findIndex((line, i) => line !== old[i]);
  return at < 0 ? `- ${old[now.length]}` : `- ${old[at] ?? ''}\n  + ${now[at]}`;
}
