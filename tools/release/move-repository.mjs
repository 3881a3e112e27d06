/**
 * Writes another address of the repository into manifests and READMEs: `node
 * tools/release/move-repository.mjs https://HOST/OWNER/NAME`. The root's package.json says the
 * present one.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolders, ROOT } from '../packages.mjs';

const [to] = process.argv.slice(2);
if (!/^https:\/\/[\w.-]+\/[\w.-]+\/[\w.-]+$/.test(to ?? '')) {
  console.error('node tools/release/move-repository.mjs https://HOST/OWNER/NAME');
  process.exit(1);
}
const { repository } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const from = repository.url.replace(/^git\+|\.git$/g, '');
for (const folder of ['.', ...packageFolders()])
  for (const name of ['package.json', 'README.md']) {
    const path = join(ROOT, folder, name);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to));
  }
console.log(`${from} → ${to}`);
