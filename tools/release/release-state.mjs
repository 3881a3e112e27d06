/**
 * What a push to main asks for: `node tools/release/release-state.mjs`.
 *
 * Prints `state=change` while notes wait in .changeset (the version change is to be opened or
 * renewed), `state=publish` where a package's version is not on the registry, else `state=nothing`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolders, ROOT } from '../packages.mjs';

const notes = readdirSync(join(ROOT, '.changeset')).filter(
  (name) => name.endsWith('.md') && name !== 'README.md',
);
const settled = () => (unpublished() ? 'publish' : 'nothing');
console.log(`state=${notes.length > 0 ? 'change' : settled()}`);

function unpublished() {
  return packageFolders()
    .map((folder) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')))
    .filter((manifest) => !manifest.private)
    .some(
      ({ name, version }) =>
        spawnSync('npm', ['view', `${name}@${version}`, 'version'], {
          encoding: 'utf8',
        }).stdout.trim() !== version,
    );
}
