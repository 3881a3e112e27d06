/**
 * Packs every package as `npm publish` would, without touching the working tree: one compilation,
 * then `npm pack` of copies.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { packageFolders } from '../packages.mjs';

const run = promisify(execFile);

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly files: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;

/** Folders of all packages that are published, relative to the root. */
export const publishedFolders = (root: string): string[] =>
  packageFolders(root).filter((folder) => !readManifest(join(root, folder)).private);

/**
 * @param work an empty folder.
 * @returns package name → path of its tarball.
 */
export async function packAll(root: string, work: string): Promise<Map<string, string>> {
  const folders = publishedFolders(root);
  await compile(root, work, folders);
  for (const folder of folders)
    stage(
      join(root, folder),
      join(work, 'stage', folder),
      join(work, 'compiled', relative('packages', folder), 'src'),
    );
  mkdirSync(join(work, 'tarballs'));
  const { stdout } = await run(
    'npm',
    [
      'pack',
      '--json',
      '--ignore-scripts',
      '--pack-destination',
      join(work, 'tarballs'),
      ...folders.map((folder) => `./${folder}`),
    ],
    { cwd: join(work, 'stage'), maxBuffer: 1 << 28 },
  );
  const packed = JSON.parse(stdout) as
    | readonly { name: string; filename: string }[]
    | Readonly<Record<string, { name: string; filename: string }>>;
  return new Map(
    Object.values(packed).map(({ name, filename }) => [
      name,
      join(work, 'tarballs', filename.replace('@', '').replace('/', '-')),
    ]),
  );
}

/** @returns path of the tarball of a folder. */
export async function packFolder(folder: string, work: string): Promise<string> {
  const { stdout } = await run('npm', [
    'pack',
    '--json',
    '--ignore-scripts',
    '--pack-destination',
    join(work, 'tarballs'),
    folder,
  ]);
  const [{ filename }] = Object.values(
    JSON.parse(stdout) as Readonly<Record<string, { filename: string }>>,
  ) as [{ filename: string }];
  return join(work, 'tarballs', filename.replace('@', '').replace('/', '-'));
}

/**
 * All packages in one program: as the build of each, in a fifth of the time. Types are checked
 * elsewhere.
 */
async function compile(root: string, work: string, folders: readonly string[]): Promise<void> {
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: {
      customConditions: ['@peft/source'],
      rootDir: join(root, 'packages'),
      outDir: join(work, 'compiled'),
      typeRoots: [join(root, 'node_modules/@types')],
      noEmitOnError: false,
    },
    include: folders.map((folder) => join(root, folder, 'src')),
    exclude: [join(root, 'packages/**/*.test.ts')],
  };
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(config));
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', work], {
    maxBuffer: 1 << 26,
  }).catch((error: { stdout?: string }) => {
    if (!/error TS/.test(error.stdout ?? '')) throw error;
  });
}

/** A copy of what the package publishes; what `dist` is to be was compiled elsewhere. */
function stage(folder: string, target: string, compiled: string): void {
  mkdirSync(target, { recursive: true });
  for (const name of ['package.json', ...readManifest(folder).files]) {
    const from = name === 'dist' ? compiled : join(folder, name);
    if (existsSync(from)) cpSync(from, join(target, name), { recursive: true });
  }
}
