/** The install line of a README, and a project that has what it names and nothing else. */
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Names after `npm install`, of every such line of the README's first block of shell. */
export function installLine(root: string, folder: string): string[] {
  const readme = readFileSync(join(root, folder, 'README.md'), 'utf8');
  const block = /^```sh\n([\s\S]*?)^```/m.exec(readme)?.[1] ?? '';
  return [...block.matchAll(/^npm (?:i|install) (.+)$/gm)]
    .flatMap(([, words]) => words!.replace(/ #.*$/, '').trim().split(/\s+/))
    .filter((word) => !word.startsWith('-'));
}

/** Packages that the TypeScript of a README imports by name. */
export function importedPackages(root: string, folder: string): string[] {
  const readme = readFileSync(join(root, folder, 'README.md'), 'utf8');
  const code = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, text]) => text!).join('\n');
  const specifiers = [...code.matchAll(/ from '([^.'][^']*)'/g)].map(([, specifier]) => specifier!);
  const names = specifiers
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    );
  return [...new Set(names)].sort();
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** What npm installs for some names: they, what they depend on, and the peers that are not optional. */
function installedWith(installed: string, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const path = join(installed, name, 'package.json');
    // what npm put into the folder of the package that needs it is found there
    if (found.has(name) || !existsSync(path)) return;
    found.add(name);
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    const peers = Object.keys(manifest.peerDependencies ?? {}).filter(
      (peer) => !manifest.peerDependenciesMeta?.[peer]?.optional,
    );
    for (const each of [...Object.keys(manifest.dependencies ?? {}), ...peers]) visit(each);
  };
  for (const name of names) visit(name);
  return found;
}

/**
 * A project with what `npm i` of the names brings, and nothing else: our packages are copied, so
 * that they find no other of ours than a reader's would; those of others are linked.
 * @param installed the `node_modules` of a project that has all of them
 */
export function makeProject(installed: string, names: readonly string[], project: string): void {
  for (const name of installedWith(installed, names)) {
    const place = join(project, 'node_modules', name);
    if (existsSync(place)) continue;
    mkdirSync(dirname(place), { recursive: true });
    if (name.startsWith('@peft/')) cpSync(join(installed, name), place, { recursive: true });
    else symlinkSync(join(installed, name), place, 'junction');
  }
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      type: 'module',
      dependencies: Object.fromEntries(names.map((name) => [name, '*'])),
    }),
  );
}
