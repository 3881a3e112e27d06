/**
 * Finds TensorFlow's library and tfjs-node's scripts: what `peft setup tensorflow` made, else an
 * installed tfjs-node.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache-folder.js';
import { SETUP_LAYOUT, type SetupRecord } from './setup-layout.js';

/** A library that could be loaded. */
export interface Installation {
  readonly source: 'setup' | 'installed';
  /** tfjs-node's folder, with `dist`. */
  readonly scripts: string;
  /** The compiled `tfjs_binding.node`. */
  readonly binding: string;
  /** This package's compiled kernels for CPUs; only a setup of ours has them. */
  readonly kernels: string | undefined;
  /** What the library was built for; undefined where only loading tells. */
  readonly build: 'cpu' | 'cuda' | undefined;
  readonly tfjsNodeVersion: string;
}

/** The installations of tfjs-node that were found. */
export interface InstallationSearch {
  /** The first of them is used. */
  readonly found: readonly Installation[];
  /** What lies there and cannot be used, for people. */
  readonly problems: readonly string[];
}

const SCRIPT = join('dist', 'nodejs_kernel_backend.js');
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** @param from folders whose `node_modules` are searched: the application's and this package's. */
export function findInstallations(
  home: string = cacheFolder(),
  from: readonly string[] = [process.cwd(), dirname(fileURLToPath(import.meta.url))],
): InstallationSearch {
  const found: Installation[] = [];
  const problems: string[] = [];
  const setup = readSetup(home);
  if (typeof setup === 'string') problems.push(setup);
  else if (setup) found.push(setup);
  const seen = new Set<string>();
  for (const name of PACKAGES) {
    for (const folder of from) {
      const scripts = packageFolder(name, folder);
      if (!scripts || seen.has(scripts)) continue;
      seen.add(scripts);
      const binding = installedBinding(scripts);
      if (binding)
        found.push({
          source: 'installed',
          scripts,
          binding,
          kernels: undefined,
          build: name.endsWith('-gpu') ? 'cuda' : 'cpu',
          tfjsNodeVersion: versionOf(scripts),
        });
      else
        problems.push(
          `${name} ${versionOf(scripts)} is installed, but its library was not downloaded or its addon not compiled`,
        );
    }
  }
  return { found, problems };
}

/** The setup in use, a sentence on why it cannot be, or undefined where there was none. */
export function readSetup(home: string): Installation | string | undefined {
  const current = readJson<{ folder?: string }>(join(home, SETUP_LAYOUT.current));
  if (!current) return undefined;
  if (typeof current.folder !== 'string' || !/^[\w.+-]+$/.test(current.folder))
    return `${join(home, SETUP_LAYOUT.current)} names no folder`;
  const named = join(home, current.folder);
  // a setup was killed while it took its place
  const folder = !existsSync(named) && existsSync(`${named}.former`) ? `${named}.former` : named;
  const record = readJson<SetupRecord>(join(folder, SETUP_LAYOUT.record));
  const installation: Installation = {
    source: 'setup',
    scripts: join(folder, SETUP_LAYOUT.scripts),
    binding: join(folder, SETUP_LAYOUT.binding),
    kernels: join(folder, SETUP_LAYOUT.kernels),
    build: record?.build,
    tfjsNodeVersion: record?.tfjsNode ?? '',
  };
  const missing = [
    ...(record ? [] : [SETUP_LAYOUT.record]),
    ...[
      join(installation.scripts, SCRIPT),
      installation.binding,
      join(folder, SETUP_LAYOUT.kernels),
    ].filter((path) => !existsSync(path)),
  ];
  if (missing.length > 0)
    return `the setup in ${folder} is incomplete: ${missing.join(', ')} is missing`;
  const platform = `${process.platform}-${process.arch}`;
  if (record!.platform !== platform)
    return `the setup in ${folder} was made for ${record!.platform}, this is ${platform}`;
  return installation;
}

function packageFolder(name: string, from: string): string | undefined {
  try {
    return dirname(createRequire(join(from, 'package.json')).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** Where tfjs-node's own install script puts the addon. */
function installedBinding(scripts: string): string | undefined {
  return [8, 7, 6, 5, 4, 3]
    .map((version) => join(scripts, 'lib', `napi-v${version}`, 'tfjs_binding.node'))
    .find((path) => existsSync(path));
}

const versionOf = (folder: string): string =>
  readJson<{ version?: string }>(join(folder, 'package.json'))?.version ?? 'of unknown version';

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
