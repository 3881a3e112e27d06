/**
 * Makes tfjs-node work on a current machine: unpacks a TensorFlow library, compiles tfjs-node's own
 * addon against it, tests it, and only then puts it in the place of what was there before.
 *
 * In the cache folder: `downloads/` with what was fetched; `<version>-<device>.partial/` while a
 * setup is under way, with a mark for each archive that is unpacked, so that a second run goes on
 * there; `<version>-<device>/` once finished; `current.json` names the one in use.
 */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { cacheFolder } from '../cache-folder.js';
import { cudaProblem, gpuProblem } from '../gpu-problem.js';
import { probeGpus } from '../gpu-probe.js';
import {
  BINDING_FILE,
  CURRENT_FILE,
  findInstallations,
  KERNELS_FILE,
  readJson,
  RECORD_FILE,
  SCRIPTS_FOLDER,
  type SetupRecord,
} from '../installation.js';
import { compileBinding } from './compile-binding.js';
import { download } from './download.js';
import { fetchedWheel, fetchTfjsNode, fetchWheel } from './fetch-wheels.js';
import { writeError } from './no-space.js';
import { selfTest } from './self-test.js';
import { cudaFiles, tensorflowFiles, tfjsNodeFiles, unpack, type Choice } from './unpack.js';
import { checkWheelPlatform, parseWheelName } from './wheel-name.js';

export interface SetupOptions {
  /** Default: `cuda` where nvidia-smi lists a card, else `cpu`. */
  readonly device?: 'cpu' | 'cuda';
  /** TensorFlow's. Default 2.21.0. */
  readonly version?: string;
  /**
   * Wheels of TensorFlow (and NVIDIA's, for cuda), an official libtensorflow archive, a folder of
   * an installed `tensorflow` package, or addresses of such files. Default: pip fetches.
   */
  readonly from?: readonly string[];
  /** tfjs-node as a tarball or folder. Default: an installed one, else npm fetches it. */
  readonly tfjsNode?: string;
  /** Default: {@link cacheFolder}. */
  readonly home?: string;
  /** Asked before anything is downloaded; false ends the setup. */
  readonly confirm: (question: string) => Promise<boolean>;
  /** A line for people on what is being done; with `fraction` the same step goes on. */
  readonly report?: (step: string, fraction?: number) => void;
  readonly signal?: AbortSignal;
}

export interface SetupResult {
  readonly folder: string;
  readonly record: SetupRecord;
  readonly isGpu: boolean;
  /** One line of what was found. */
  readonly summary: string;
}

export const DEFAULT_TENSORFLOW = '2.21.0';
const TFJS_NODE = '4.22.0';
/** What the unpacked library takes, with room for the downloads. */
const NEEDED_BYTES = { cpu: 1.5e9, cuda: 9e9 } as const;

/** One setup, with its defaults filled in. */
interface Setup extends Omit<SetupOptions, 'home' | 'device' | 'version' | 'from'> {
  readonly home: string;
  readonly device: 'cpu' | 'cuda';
  readonly version: string;
  readonly from: readonly string[];
  readonly downloads: string;
  /** The folder that is worked in. */
  readonly partial: string;
  readonly report: (step: string, fraction?: number) => void;
}

/**
 * @returns what was set up; it is in use from now on.
 * @throws PEFT_SETUP_PLATFORM, PEFT_SETUP_SPACE, PEFT_SETUP_FOLDER, PEFT_SETUP_DECLINED,
 *   PEFT_SETUP_OFFLINE, PEFT_SETUP_VERSION, PEFT_SETUP_WHEEL, PEFT_SETUP_ARCHIVE, PEFT_SETUP_TOOLS,
 *   PEFT_SETUP_COMPILE, PEFT_SETUP_SELF_TEST; PEFT_GPU_DRIVER, PEFT_GPU_CUDA, PEFT_GPU_MISSING for
 *   `cuda`. What was set up before stays in use then.
 */
export async function setupTensorflow(options: SetupOptions): Promise<SetupResult> {
  const setup = withDefaults(options);
  try {
    return await setUp(setup);
  } catch (error) {
    throw writeError(setup.home, error);
  }
}

async function setUp(setup: Setup): Promise<SetupResult> {
  checkMachine(setup);
  mkdirSync(setup.partial, { recursive: true });
  await placeLibrary(setup);
  await placeScripts(setup);
  setup.report('compiling the addons');
  await compileBinding(setup.partial, setup.signal);
  setup.report('testing');
  const tested = await selfTest(
    join(setup.partial, BINDING_FILE),
    join(setup.partial, KERNELS_FILE),
    setup.signal,
  );
  if (setup.device === 'cuda' && !tested.isGpu) throw gpuProblem(probeGpus(), 'cuda');
  const tfjsNode = readJson<{ version: string }>(
    join(setup.partial, SCRIPTS_FOLDER, 'package.json'),
  )!.version;
  const record: SetupRecord = {
    tensorflow: tested.version,
    tfjsNode,
    build: setup.device,
    platform: `${process.platform}-${process.arch}`,
  };
  writeFileSync(join(setup.partial, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
  const folder = putInPlace(setup);
  rmSync(setup.downloads, { recursive: true, force: true }); // unpacked, and not needed again
  const products = tested.bfloat16 ? 'float32 and bfloat16' : 'float32';
  return {
    folder,
    record,
    isGpu: tested.isGpu,
    summary: `TensorFlow ${tested.version} for ${tested.isGpu ? 'GPUs' : 'CPUs'} with tfjs-node ${tfjsNode} on Node ${process.versions.node}: products in ${products} are right; in ${folder}`,
  };
}

function withDefaults(options: SetupOptions): Setup {
  check.knownKeys('setup', options, [
    'device',
    'version',
    'from',
    'tfjsNode',
    'home',
    'confirm',
    'report',
    'signal',
  ]);
  const {
    device = probeGpus().gpus.length > 0 ? 'cuda' : 'cpu',
    from = [],
    home = cacheFolder(),
    report = () => undefined,
  } = options;
  check.oneOf('setup', 'device', device, ['cpu', 'cuda']);
  const named =
    from
      .map((source) => parseWheelName(basename(source)))
      .find((wheel) => wheel?.package.startsWith('tensorflow'))?.version ??
    from.map((source) => /libtensorflow\S*?(\d+\.\d+\.\d+)/.exec(source)?.[1]).find(Boolean);
  const version = options.version ?? named ?? (from.length > 0 ? 'custom' : DEFAULT_TENSORFLOW);
  if (!/^[\w.+]+$/.test(version))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `setup: version must be like ${DEFAULT_TENSORFLOW}, got ${JSON.stringify(version)}.`,
    );
  return {
    ...options,
    device,
    version,
    from,
    home,
    report,
    downloads: join(home, 'downloads'),
    partial: join(home, `${version}-${device}.partial`),
  };
}

function checkMachine({ device, home, partial }: Setup): void {
  if (process.platform !== 'linux' && process.platform !== 'darwin')
    throw new PeftError(
      'PEFT_SETUP_PLATFORM',
      `setup: there is no setup for ${process.platform} yet.`,
      { hint: 'on Windows use WSL, or install @tensorflow/tfjs-node itself' },
    );
  if (device === 'cuda' && process.platform !== 'linux')
    throw new PeftError(
      'PEFT_SETUP_PLATFORM',
      `setup: TensorFlow has no CUDA library for ${process.platform}.`,
      { hint: 'use --device cpu' },
    );
  const problem = device === 'cuda' ? cudaProblem(probeGpus()) : undefined;
  if (problem) throw problem;
  mkdirSync(home, { recursive: true });
  const { bavail, bsize } = statfsSync(home);
  const needed = NEEDED_BYTES[device];
  if (!existsSync(partial) && bavail * bsize < needed)
    throw new PeftError(
      'PEFT_SETUP_SPACE',
      `setup: ${home} has ${((bavail * bsize) / 1e9).toFixed(1)} GB left, and ${(needed / 1e9).toFixed(1)} GB are needed.`,
      { hint: 'make room, or choose another folder with PEFT_TENSORFLOW_HOME' },
    );
}

async function placeLibrary(setup: Setup): Promise<void> {
  const { from, downloads, device, version, partial } = setup;
  const folder = from.map((source) => installedPackage(source)).find(Boolean);
  if (folder) {
    rmSync(join(partial, 'site'), { recursive: true, force: true });
    symlinkSync(dirname(folder), join(partial, 'site'), 'dir'); // used where it is
    return;
  }
  if (lstatSync(join(partial, 'site'), { throwIfNoEntry: false })?.isSymbolicLink())
    rmSync(join(partial, 'site')); // nothing is ever written into a folder of the user's
  if (from.length > 0) {
    for (const source of from)
      await unpackOnce(
        setup,
        await localFile(setup, source),
        (name) => tensorflowFiles(name) ?? cudaFiles(name),
      );
    return;
  }
  const name = device === 'cpu' ? 'tensorflow-cpu' : 'tensorflow';
  if (!fetchedWheel(downloads, `${name}==${version}`) || device === 'cuda')
    await ask(
      setup,
      `TensorFlow ${version} with pip (${device === 'cpu' ? 'about 270 MB' : "and NVIDIA's CUDA libraries, some gigabytes"})`,
    );
  setup.report(`fetching ${name} ${version}`);
  await unpackOnce(
    setup,
    await fetchWheel(`${name}==${version}`, fetchOptions(setup, `fetching ${name} ${version}`)),
    tensorflowFiles,
  );
  if (device === 'cuda')
    for (const library of cudaRequirements(partial))
      await unpackOnce(
        setup,
        await fetchWheel(library, fetchOptions(setup, `fetching ${library}`)),
        cudaFiles,
      );
}

async function placeScripts(setup: Setup): Promise<void> {
  const { tfjsNode, partial, downloads } = setup;
  const installed = findInstalledScripts();
  const given = tfjsNode ?? installed;
  if (given && existsSync(given) && statSync(given).isDirectory()) {
    rmSync(join(partial, SCRIPTS_FOLDER), { recursive: true, force: true });
    const parts = ['package.json', 'dist', 'binding'];
    const missing = parts.filter((part) => !existsSync(join(given, part)));
    if (missing.length > 0)
      throw new PeftError(
        'PEFT_SETUP_ARCHIVE',
        `setup: the folder ${resolve(given)} is not tfjs-node: it has no ${missing.join(', ')}.`,
        { hint: 'leave --tfjs-node out: npm fetches the right one' },
      );
    for (const part of parts)
      cpSync(join(given, part), join(partial, SCRIPTS_FOLDER, part), { recursive: true });
  } else {
    if (!tfjsNode && !existsSync(join(downloads, `tensorflow-tfjs-node-${TFJS_NODE}.tgz`)))
      await ask(setup, `@tensorflow/tfjs-node ${TFJS_NODE} with npm (0.3 MB)`);
    const archive = tfjsNode
      ? await localFile(setup, tfjsNode)
      : await fetchTfjsNode(TFJS_NODE, fetchOptions(setup, 'fetching tfjs-node'));
    await unpackOnce(setup, archive, tfjsNodeFiles);
  }
  const { version = 'none' } =
    readJson<{ version?: string }>(join(partial, SCRIPTS_FOLDER, 'package.json')) ?? {};
  if (!/^4\.(2[2-9]|[3-9]\d)\./.test(version))
    throw new PeftError(
      'PEFT_SETUP_VERSION',
      `setup: tfjs-node is ${version}, and 4.22 or a later 4 is needed, as the toolkit uses tfjs 4.22.`,
      { hint: 'leave --tfjs-node out: npm fetches the right one' },
    );
}

/** Unpacks an archive unless its mark says that it was. */
async function unpackOnce(setup: Setup, archive: string, choose: Choice): Promise<void> {
  checkWheelPlatform(basename(archive));
  const mark = join(setup.partial, `${basename(archive)}.unpacked`);
  const size = String(statSync(archive).size);
  if (existsSync(mark) && readFileSync(mark, 'utf8') === size) return;
  const step = `unpacking ${basename(archive)}`;
  setup.report(step);
  const onBytes = (done: number, total: number | undefined): void =>
    (total && setup.report(step, done / total)) || undefined;
  if (
    (await unpack(archive, setup.partial, choose, {
      onBytes,
      ...(setup.signal && { signal: setup.signal }),
    })) === 0
  ) {
    throw new PeftError('PEFT_SETUP_ARCHIVE', `setup: nothing in ${archive} is of use.`, {
      hint: 'give wheels of tensorflow or tensorflow-cpu and of NVIDIA, an official libtensorflow archive, or a tarball of tfjs-node',
    });
  }
  writeFileSync(mark, size);
}

async function localFile(setup: Setup, source: string): Promise<string> {
  if (/^https?:\/\//.test(source)) {
    if (!existsSync(join(setup.downloads, basename(new URL(source).pathname))))
      await ask(setup, source);
    const { onBytes, signal } = fetchOptions(setup, `fetching ${basename(source)}`);
    return download(source, setup.downloads, { onBytes, signal });
  }
  const path = resolve(source);
  if (!existsSync(path))
    throw new PeftError('PEFT_SETUP_ARCHIVE', `setup: there is no file ${path}.`, {
      hint: 'check the path',
    });
  if (statSync(path).isDirectory())
    throw new PeftError(
      'PEFT_SETUP_ARCHIVE',
      `setup: the folder ${path} is not an installed tensorflow package with its library and headers.`,
      { hint: 'name the folder tensorflow in site-packages, a wheel, or an archive' },
    );
  return path;
}

/** The folder of an installed `tensorflow` package that the user named. */
function installedPackage(source: string): string | undefined {
  const candidates = [source, join(source, 'tensorflow')].map((path) => resolve(path));
  return candidates.find(
    (path) =>
      basename(path) === 'tensorflow' &&
      existsSync(join(path, 'include')) &&
      readdirSync(path).some((file) => file.startsWith('libtensorflow')),
  );
}

/** tfjs-node that npm installed, whether or not its own install script succeeded. */
function findInstalledScripts(): string | undefined {
  const { found } = findInstallations(join(cacheFolder(), 'none'));
  return found.find(({ scripts }) => existsSync(join(scripts, 'binding')))?.scripts;
}

/** NVIDIA's packages that the wheel names for its extra `and-cuda`, as pip wants them. */
export function cudaRequirements(folder: string): string[] {
  const metadata = readFileSync(join(folder, 'METADATA'), 'utf8');
  return [
    ...metadata.matchAll(
      /^Requires-Dist: (nvidia-[\w-]+)\s*\(?([^;()]*?)\)?\s*;.*extra == ["']and-cuda["']/gm,
    ),
  ].map(([, name, constraint]) => `${name}${constraint!.replace(/\s/g, '')}`);
}

async function ask({ confirm }: Setup, what: string): Promise<void> {
  if (!(await confirm(`Download ${what}?`)))
    throw new PeftError('PEFT_SETUP_DECLINED', `setup: ${what} was not downloaded.`, {
      hint: 'say --yes to download without being asked, or name a wheel or archive with --from',
    });
}

function fetchOptions({ downloads, signal, report }: Setup, step: string) {
  return {
    folder: downloads,
    signal,
    onBytes: (done: number, total: number | undefined) =>
      (total && report(step, done / total)) || undefined,
  };
}

/** From here on this setup is in use; until the last line the former one is. */
function putInPlace({ home, partial }: Setup): string {
  const folder = partial.slice(0, -'.partial'.length);
  const former = `${folder}.former`; // in use while there is no `folder`
  if (existsSync(folder)) {
    rmSync(former, { recursive: true, force: true });
    renameSync(folder, former);
  }
  try {
    renameSync(partial, folder);
  } catch (error) {
    if (existsSync(former)) renameSync(former, folder);
    throw error;
  }
  const current = join(home, CURRENT_FILE);
  writeFileSync(`${current}.tmp`, `${JSON.stringify({ folder: basename(folder) })}\n`);
  renameSync(`${current}.tmp`, current);
  rmSync(former, { recursive: true, force: true });
  return folder;
}
