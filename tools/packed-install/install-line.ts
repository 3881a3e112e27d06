/** The install line of a README, and a project that has what it names and nothing else. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
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

/**
 * A project in which an import finds the named packages alone; what they import themselves, they
 * find where everything is installed side by side. That they declare it is `check:imports`.
 */
export function linkProject(installed: string, names: readonly string[], project: string): void {
  for (const name of names) {
    const place = join(project, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(installed, name), place, 'junction');
  }
}
