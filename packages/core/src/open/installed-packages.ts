/**
 * Finds what is installed beside this package: engines and model families come in packages that
 * nobody has to name in code.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PeftError } from '@peft/errors';

/** What a package may say that it brings, in `"peft": { "provides": [...] }` of its package.json. */
export type Role = 'engine' | 'models';

/** This toolkit's, in the order in which they are tried; the first is what an error proposes. */
const OWN: Readonly<Record<Role, readonly string[]>> = {
  engine: ['@peft/native', '@peft/portable'],
  models: ['@peft/models'],
};
const WHAT: Readonly<Record<Role, string>> = { engine: 'engine', models: 'model family' };

/** Imports a package by name; undefined where it is not installed. */
export type ImportPackage = (
  name: string,
) => Promise<Readonly<Record<string, unknown>> | undefined>;

export interface InstalledPackage {
  readonly name: string;
  /** What it exports. */
  readonly exports: readonly unknown[];
}

/**
 * The installed packages that bring something, this toolkit's first; then those that the program's
 * package.json depends on and whose own says `"peft": { "provides": [...] }`.
 * @throws whatever a package throws while it is imported
 */
export async function installedPackages(
  role: Role,
  importPackage: ImportPackage = importInstalled,
  declared: readonly string[] = declaredProviders(role),
): Promise<readonly InstalledPackage[]> {
  const found: InstalledPackage[] = [];
  for (const name of new Set([...OWN[role], ...declared])) {
    const exported = await importPackage(name);
    if (exported) found.push({ name, exports: Object.values(exported) });
  }
  return found;
}

/**
 * That nothing is missing.
 * @param found by role, what is installed; undefined where none is needed
 * @throws PEFT_PACKAGE_MISSING with one line that installs all that is
 */
export function requireInstalled(
  found: Readonly<Record<Role, readonly InstalledPackage[] | undefined>>,
): void {
  const missing = (['engine', 'models'] as const).filter((role) => found[role]?.length === 0);
  if (missing.length === 0) return;
  throw new PeftError(
    'PEFT_PACKAGE_MISSING',
    `core: no ${missing.map((role) => WHAT[role]).join(' and no ')} is installed.`,
    { hint: `npm i ${missing.map((role) => OWN[role][0]).join(' ')}` },
  );
}

/** Where the program and its packages lie. */
const programFolders = (): readonly string[] => [
  ...(process.argv[1] === undefined ? [] : [dirname(resolve(process.argv[1]))]),
  process.cwd(),
];

/** Beside this package, as npm installs it, else where the program imports from. */
async function importInstalled(
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    return (await import(name)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    if (!isAbsence(error, name)) throw error;
  }
  for (const folder of programFolders()) {
    const path = resolvedFrom(folder, name);
    if (path !== undefined)
      return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  }
  return undefined;
}

function resolvedFrom(folder: string, name: string): string | undefined {
  try {
    return createRequire(join(folder, 'package.json')).resolve(name);
  } catch (error) {
    if (!isAbsence(error, name)) throw error;
    return undefined;
  }
}

/** That the package itself is not there, rather than something that it imports. */
function isAbsence(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    message.includes(`'${name}'`)
  );
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peft?: { readonly provides?: readonly string[] };
}

/** Dependencies of the program that say that they bring it. */
function declaredProviders(role: Role): readonly string[] {
  const folders = [...new Set(programFolders().flatMap(upwards))];
  const project = folders.find((folder) => existsSync(join(folder, 'package.json')));
  if (project === undefined) return [];
  return Object.keys(readManifest(project).dependencies ?? {}).filter((name) => {
    const installed = upwards(project)
      .map((folder) => join(folder, 'node_modules', name))
      .find((folder) => existsSync(join(folder, 'package.json')));
    return installed !== undefined && readManifest(installed).peft?.provides?.includes(role);
  });
}

/** @throws PEFT_PACKAGE_MANIFEST when it is not JSON */
function readManifest(folder: string): Manifest {
  const path = join(folder, 'package.json');
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  } catch (cause) {
    throw new PeftError('PEFT_PACKAGE_MANIFEST', `core: ${path} is not JSON.`, { cause });
  }
}

/** A folder and those above it. */
function upwards(folder: string): readonly string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...upwards(above)];
}
