/**
 * Has pip fetch wheels, and npm the scripts of tfjs-node: both know the user's registries, proxies
 * and mirrors.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PeftError } from '@peft/errors';
import { offline } from './download.js';
import { NO_SPACE, noSpace } from './no-space.js';
import { lastLines, runCommand } from './run-command.js';
import { parseWheelName } from './wheel-name.js';

export interface FetchOptions {
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (done: number, total: number | undefined) => void;
}

/**
 * The wheel's interpreter is never used, so it is one that every TensorFlow since 2.12 was built
 * for.
 */
const PYTHON_VERSION = '3.11';
const PYTHONS = process.platform === 'win32' ? ['py', 'python'] : ['python3', 'python'];
const NO_NETWORK = new RegExp(
  [
    'Failed to establish a new connection',
    'Temporary failure in name resolution',
    'Network is unreachable',
    'getaddrinfo',
    'ConnectTimeout',
    'Read timed out',
    'Connection refused',
    'ENOTFOUND',
    'ECONNREFUSED',
    'ETIMEDOUT',
    'EAI_AGAIN',
    'ENETUNREACH',
    'NameResolutionError',
  ].join('|'),
  'i',
);

/**
 * A wheel that was fetched before.
 * @param requirement a name, with `==VERSION` or with bounds that any fetched version is taken to
 *   keep
 */
export function fetchedWheel(folder: string, requirement: string): string | undefined {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const [, name, version] = /^([\w-]+)(?:==([\w.]+)$)?/.exec(requirement) ?? [];
  const found = files.find((file) => {
    const wheel = parseWheelName(file);
    return (
      wheel !== undefined &&
      wheel.package === name &&
      (version === undefined || wheel.version === version)
    );
  });
  return found && join(folder, found);
}

/**
 * @returns the path of the wheel.
 * @throws PEFT_SETUP_OFFLINE, PEFT_SETUP_VERSION, PEFT_SETUP_TOOLS without pip
 */
export async function fetchWheel(
  requirement: string,
  { folder, signal, onBytes }: FetchOptions,
): Promise<string> {
  const known = fetchedWheel(folder, requirement);
  if (known) return known;
  const incoming = incomingFolder(folder);
  const python = await findPip(signal);
  const onLine = (line: string): void => {
    const [, done, total] = /^Progress (\d+) of (\d+)/.exec(line) ?? [];
    if (done) onBytes?.(Number(done), Number(total));
  };
  const progress = python.version >= 24.1 ? ['--progress-bar', 'raw'] : ['--progress-bar', 'off'];
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--python-version',
    PYTHON_VERSION,
    '--disable-pip-version-check',
    ...progress,
    '--dest',
    incoming,
    requirement,
  ];
  const { status, output } = await runCommand(python.program, args, {
    signal,
    onLine,
    env: { ...process.env, PIP_RESUME_RETRIES: '5' },
  });
  const fetched = status === 0 ? fetchedWheel(incoming, requirement) : undefined;
  if (fetched) return taken(fetched, folder);
  rmSync(incoming, { recursive: true, force: true });
  if (NO_SPACE.test(output)) throw noSpace(folder);
  if (NO_NETWORK.test(output)) throw offline(requirement, 'pip found no network');
  if (/No matching distribution|Could not find a version/.test(output)) {
    const [, versions = ''] = /from versions: ([^)]*)\)/.exec(output) ?? [];
    const found = versions === 'none' ? [] : versions.split(', ').filter(Boolean).slice(-6);
    const others = found.length ? `; there are ${found.join(', ')}` : '';
    throw new PeftError(
      'PEFT_SETUP_VERSION',
      `setup: pip found no wheel of ${requirement} for this machine${others}.`,
      { hint: 'choose a version with --tensorflow, or name a wheel or archive with --from' },
    );
  }
  throw new PeftError(
    'PEFT_SETUP_DOWNLOAD',
    `setup: pip could not fetch ${requirement}:\n${lastLines(output)}`,
    { hint: 'fetch it yourself and name it with --from' },
  );
}

/** @returns the path of the tarball. @throws PEFT_SETUP_OFFLINE, PEFT_SETUP_TOOLS without npm */
export async function fetchTfjsNode(
  version: string,
  { folder, signal }: FetchOptions,
): Promise<string> {
  const file = `tensorflow-tfjs-node-${version}.tgz`;
  if (existsSync(join(folder, file))) return join(folder, file);
  const incoming = incomingFolder(folder);
  const npm = process.env['npm_execpath'];
  const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { status, output, errorCode } = await runCommand(
    program,
    [
      ...first,
      'pack',
      '--loglevel=error',
      `@tensorflow/tfjs-node@${version}`,
      '--pack-destination',
      incoming,
    ],
    { signal, cwd: incoming },
  );
  if (status === 0 && existsSync(join(incoming, file))) return taken(join(incoming, file), folder);
  if (errorCode === 'ENOENT')
    throw new PeftError('PEFT_SETUP_TOOLS', 'setup: npm was not found, which fetches tfjs-node.', {
      hint: `fetch it elsewhere with: npm pack @tensorflow/tfjs-node@${version}   and name the file with --tfjs-node`,
    });
  rmSync(incoming, { recursive: true, force: true });
  if (NO_SPACE.test(output)) throw noSpace(folder);
  if (NO_NETWORK.test(output))
    throw offline(`@tensorflow/tfjs-node@${version}`, 'npm found no network');
  throw new PeftError(
    'PEFT_SETUP_DOWNLOAD',
    `setup: npm could not fetch @tensorflow/tfjs-node@${version}:\n${lastLines(output)}`,
    { hint: 'fetch it yourself and name it with --tfjs-node' },
  );
}

/** Empty; what is written here may be half a file. */
function incomingFolder(folder: string): string {
  const incoming = join(folder, 'incoming');
  rmSync(incoming, { recursive: true, force: true });
  mkdirSync(incoming, { recursive: true });
  return incoming;
}

/** From there on it is known to be whole. */
function taken(path: string, folder: string): string {
  const target = join(folder, basename(path));
  renameSync(path, target);
  return target;
}

async function findPip(
  signal: AbortSignal | undefined,
): Promise<{ program: string; version: number }> {
  for (const program of PYTHONS) {
    const { status, stdout } = await runCommand(program, ['-m', 'pip', '--version'], { signal });
    const [, version] = /^pip (\d+\.\d+)/.exec(stdout) ?? [];
    if (status === 0 && version) return { program, version: Number(version) };
  }
  throw new PeftError(
    'PEFT_SETUP_TOOLS',
    'setup: Python with pip was not found, which fetches the TensorFlow wheel.',
    {
      hint: 'install it (Debian: apt-get install python3-pip), or name a wheel or archive of TensorFlow with --from',
    },
  );
}
