/**
 * The prebuilt forms of the addons of @peft/native and @peft/mpi.
 *
 *   node tools/run-source.mjs tools/native/native-release.ts platform --out DIR
 *   node tools/run-source.mjs tools/native/native-release.ts stamp --packages DIR
 *
 * `platform` makes the package @peft/native-PLATFORM-ARCH of what `tools/native/build-native.mjs`
 * compiled here; it holds both addons. `stamp`, before publishing, lists the packages in DIR as
 * optional dependencies of @peft/native and @peft/mpi.
 *
 * `stamp` refuses while a platform is missing, of another version or without its file;
 * `--allow-missing linux-arm64,…` names exceptions.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** What releases are built for; `.github/workflows/release.yml` has a job for each. */
export const PLATFORMS = Object.freeze([
  'linux-x64',
  'linux-arm64',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64',
]);
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
}

const ADDON = 'peft_native.node';
const MPI_ADDON = 'peft_mpi.node';
/** Packages that take their addon from a platform's package. */
const OWNERS = ['packages/engines/native', 'packages/mpi'];
/** There is no MPI for Windows that @peft/mpi knows. */
const addonsFor = (platform: string): readonly string[] =>
  platform.startsWith('win32') ? [ADDON] : [ADDON, MPI_ADDON];
const root = fileURLToPath(new URL('../..', import.meta.url));
const read = <T = Manifest>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;

function write(path: string, value: object): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}

/** @returns the folder of the package. */
export function makePlatformPackage(
  out: string,
  {
    platform = process.platform as string,
    arch = process.arch as string,
    addon = join(root, 'packages/engines/native/build/Release', ADDON),
    mpiAddon = join(root, 'packages/mpi/build/Release', MPI_ADDON),
  } = {},
): string {
  const name = `${platform}-${arch}`;
  const files = addonsFor(platform);
  const compiled: Readonly<Record<string, string>> = { [ADDON]: addon, [MPI_ADDON]: mpiAddon };
  const missing = files.map((file) => compiled[file]!).find((path) => !existsSync(path));
  if (missing !== undefined)
    throw new Error(
      `there is no compiled addon at ${missing}: run node tools/native/build-native.mjs first`,
    );
  if (platform === process.platform && arch === process.arch)
    for (const file of files)
      execFileSync(process.execPath, ['--eval', `require(${JSON.stringify(compiled[file])})`], {
        stdio: 'pipe',
      }); // it must load before it is shipped
  const { version, license, engines } = read(join(root, 'packages/engines/native/package.json'));
  const folder = join(out, `native-${name}`);
  mkdirSync(folder, { recursive: true });
  for (const file of files) copyFileSync(compiled[file]!, join(folder, file));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  write(join(folder, 'package.json'), {
    name: `@peft/native-${name}`,
    version,
    description: `The compiled addons of @peft/native and @peft/mpi for ${name}`,
    license,
    engines,
    os: [platform],
    cpu: [arch],
    ...(platform === 'linux' && { libc: ['glibc'] }),
    main: ADDON,
    files,
  });
  writeFileSync(
    join(folder, 'README.md'),
    `# @peft/native-${name}\n\nThe compiled addons of @peft/native and @peft/mpi for ${name}. npm ` +
      `installs it together with these packages; nobody needs to name it.\n`,
  );
  return folder;
}

/** @returns what @peft/native's manifest is to list. */
export function platformDependencies(
  packages: string,
  version: string,
  allowMissing: readonly string[] = [],
): Record<string, string> {
  const unknown = allowMissing.filter((name) => !PLATFORMS.includes(name));
  if (unknown.length > 0)
    throw new Error(`--allow-missing: ${unknown.join(', ')} is none of ${PLATFORMS.join(', ')}`);
  const faults: string[] = [];
  const dependencies: Record<string, string> = {};
  for (const name of PLATFORMS) {
    const folder = join(packages, `native-${name}`);
    if (!existsSync(join(folder, 'package.json'))) {
      if (!allowMissing.includes(name)) faults.push(`${name}: there is no ${folder}`);
      continue;
    }
    const manifest = read(join(folder, 'package.json'));
    if (manifest.version !== version)
      faults.push(`${name}: version ${manifest.version} instead of ${version}`);
    else if (!addonsFor(name).every((file) => existsSync(join(folder, file))))
      faults.push(`${name}: ${addonsFor(name).join(' or ')} is missing`);
    else dependencies[manifest.name] = version;
  }
  if (faults.length > 0) throw new Error(`not every platform is there:\n  ${faults.join('\n  ')}`);
  return dependencies;
}

function main(): void {
  const {
    positionals: [command],
    values,
  } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      packages: { type: 'string' },
      'allow-missing': { type: 'string' },
    },
  });
  if (command === 'platform' && values.out) return console.log(makePlatformPackage(values.out));
  if (command === 'stamp' && values.packages) {
    const { version } = read(join(root, OWNERS[0]!, 'package.json'));
    const optionalDependencies = platformDependencies(
      values.packages,
      version,
      values['allow-missing']?.split(','),
    );
    for (const owner of OWNERS) {
      const path = join(root, owner, 'package.json');
      write(path, { ...read(path), optionalDependencies });
    }
    return console.log(
      `@peft/native ${version} and @peft/mpi take one of ${Object.keys(optionalDependencies).join(', ')}`,
    );
  }
  throw new Error(
    'say either: platform --out DIR, or: stamp --packages DIR [--allow-missing NAMES]',
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(`native-release: ${(error as Error).message}`);
    process.exit(2);
  }
}
