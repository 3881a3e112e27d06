/**
 * Compiles tfjs-node's addon, from its own two sources, and the engine's kernels for CPUs against
 * the TensorFlow library that was unpacked.
 */
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { kernelSources, SETUP_LAYOUT } from '@peft/tensorflow';
import { NO_SPACE, noSpace } from './no-space.js';
import { lastLines, runCommand } from './run-command.js';

/** Relative to the setup's folder, so that it may be moved. */
const LIBRARIES = 'site/tensorflow';
const KERNELS = 'kernels';

/**
 * @param folder with `site/tensorflow` and `tfjs-node`.
 * @throws PEFT_SETUP_COMPILE, PEFT_SETUP_TOOLS, PEFT_SETUP_OFFLINE
 */
export async function compileBinding(folder: string, signal?: AbortSignal): Promise<void> {
  rmSync(join(folder, KERNELS), { recursive: true, force: true });
  cpSync(kernelSources(), join(folder, KERNELS), { recursive: true });
  writeFileSync(
    join(folder, 'binding.gyp'),
    `${JSON.stringify(gypFile(libraryFiles(join(folder, LIBRARIES)), cudaLibraries(folder)), null, 2)}\n`,
  );
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const prefix = resolve(dirname(process.execPath), '..');
  const headers = existsSync(join(prefix, 'include', 'node', 'node_api.h'))
    ? [`--nodedir=${prefix}`]
    : []; // else node-gyp downloads them
  const { status, output } = await runCommand(
    process.execPath,
    [nodeGyp, 'rebuild', '--jobs=2', ...headers],
    { cwd: folder, signal },
  );
  if (
    status === 0 &&
    [SETUP_LAYOUT.binding, SETUP_LAYOUT.kernels].every((file) => existsSync(join(folder, file)))
  )
    return;
  throw compileError(output, folder, headers.length > 0);
}

/**
 * What node-gyp's words mean.
 * @param hasHeaders whether Node's headers were there, which it downloads otherwise
 */
export function compileError(output: string, folder: string, hasHeaders: boolean): PeftError {
  if (
    /not found: make|make: not found|ERR! find Python|No Xcode|(g\+\+|c\+\+|clang\+\+): (not found|No such file)/i.test(
      output,
    )
  ) {
    return new PeftError(
      'PEFT_SETUP_TOOLS',
      'setup: a C++ compiler, make or Python is missing, which compile the addon.',
      { hint: 'Debian: apt-get install g++ make python3; macOS: xcode-select --install' },
    );
  }
  if (NO_SPACE.test(output)) return noSpace(folder);
  if (!hasHeaders && /(ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|network)/i.test(output)) {
    return new PeftError(
      'PEFT_SETUP_OFFLINE',
      "setup: Node's headers could not be fetched: node-gyp found no network.",
      {
        hint:
          'run the same command again when there is a network, with a Node that came with its ' +
          'headers (the archives of nodejs.org), or with npm_config_nodedir naming a folder ' +
          'that has include/node',
      },
    );
  }
  return new PeftError(
    'PEFT_SETUP_COMPILE',
    `setup: the addons could not be compiled against this TensorFlow:\n${lastLines(output, 25)}`,
    { hint: 'try another TensorFlow with --tensorflow (2.21.0 is known to work)' },
  );
}

/**
 * The names to link against, most complete first.
 * @throws PEFT_SETUP_ARCHIVE when there is no library
 */
export function libraryFiles(folder: string): string[] {
  const files = existsSync(folder) ? readdirSync(folder).sort((a, b) => a.length - b.length) : [];
  const wanted = [
    /^libtensorflow(_cc)?\.(so|(\d+\.)*dylib)/,
    /^libtensorflow_framework\.(so|(\d+\.)*dylib)/,
  ].map((pattern) => files.find((file) => pattern.test(file)));
  if (!wanted[0])
    throw new PeftError(
      'PEFT_SETUP_ARCHIVE',
      'setup: there is no libtensorflow in what was given.',
      {
        hint:
          'name a wheel of tensorflow or tensorflow-cpu, an official libtensorflow archive, or ' +
          'the folder of an installed tensorflow package',
      },
    );
  return wanted.filter((file) => file !== undefined);
}

/**
 * What TensorFlow opens by name when it looks for a GPU. The addon is linked to them, so that they
 * are in the process by then, wherever they lie.
 */
const CUDA_LIBRARY =
  /^lib(cudart|cublas|cublasLt|cufft|curand|cusolver|cusparse|cudnn|cupti|nccl|nvrtc|nvJitLink)\.so\.\d+$/;

/** Those of NVIDIA's wheels, relative to the setup's folder. */
export function cudaLibraries(folder: string): string[] {
  const root = join(folder, 'site', 'nvidia');
  const packages = existsSync(root) ? readdirSync(root).sort() : [];
  return packages.flatMap((name) =>
    existsSync(join(root, name, 'lib'))
      ? readdirSync(join(root, name, 'lib'))
          .filter((file) => CUDA_LIBRARY.test(file))
          .sort()
          .map((file) => `site/nvidia/${name}/lib/${file}`)
      : [],
  );
}

const kernelFiles = (): string[] =>
  readdirSync(kernelSources())
    .filter((file) => file.endsWith('.cc'))
    .sort();

function gypFile(libraries: readonly string[], cuda: readonly string[]): object {
  const folders = [LIBRARIES, ...new Set(cuda.map((path) => path.slice(0, path.lastIndexOf('/'))))];
  const names = [...libraries, ...cuda.map((path) => path.slice(path.lastIndexOf('/') + 1))];
  const linkedOnMac = { OTHER_LDFLAGS: [`-Wl,-rpath,@loader_path/../../${LIBRARIES}`] };
  const linked = {
    include_dirs: [`${LIBRARIES}/include`],
    defines: ['NAPI_VERSION=8'],
    conditions: [
      [
        "OS=='linux'",
        {
          libraries: [
            ...folders.map((path) => `-Wl,-rpath,\\$$ORIGIN/../../${path}`),
            '-Wl,--no-as-needed',
            ...names.map((file) => `-l:${file}`),
          ],
          library_dirs: folders.map((path) => `<(module_root_dir)/${path}`),
        },
      ],
      [
        "OS=='mac'",
        {
          libraries: libraries.map((file) => `<(module_root_dir)/${LIBRARIES}/${file}`),
          xcode_settings: linkedOnMac,
        },
      ],
    ],
  };
  // comparisons and roots may become vectors; NaN stays NaN
  const optimised = ['-std=c++17', '-O3', '-fno-math-errno', '-fno-trapping-math', '-fexceptions'];
  return {
    targets: [
      {
        target_name: 'tfjs_binding',
        sources: ['tfjs-node/binding/tfjs_backend.cc', 'tfjs-node/binding/tfjs_binding.cc'],
        ...linked,
      },
      {
        target_name: 'peft_kernels',
        sources: kernelFiles().map((file) => `${KERNELS}/${file}`),
        ...linked,
        'cflags_cc!': ['-fno-exceptions', '-std=gnu++20', '-std=gnu++17', '-O2'],
        cflags_cc: optimised,
        xcode_settings: {
          ...linkedOnMac,
          GCC_ENABLE_CPP_EXCEPTIONS: 'YES',
          CLANG_CXX_LANGUAGE_STANDARD: 'c++17',
          OTHER_CPLUSPLUSFLAGS: optimised,
        },
      },
    ],
  };
}
