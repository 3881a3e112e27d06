/** Loads TensorFlow's library once per process and registers tfjs-node's backend. */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import { withNamedErrors, type TensorflowBackend, type TensorflowBinding } from './binding.js';
import { findInstallations, type Installation } from './installation.js';
import { loadScripts } from './load-scripts.js';

export const TENSORFLOW_BACKEND = 'tensorflow';

export interface LoadOptions {
  /** Threads of TensorFlow's CPU kernels, fixed when the library is loaded. Default: all cores. */
  readonly threads?: number;
  /**
   * Default true: on a CPU this package's kernels compute what takes them one pass over memory.
   * False: TensorFlow's own do everything, as on a GPU. Fixed as well.
   */
  readonly fusedKernels?: boolean;
}

export interface LoadedBackend {
  readonly backend: TensorflowBackend;
  /** TensorFlow's. */
  readonly version: string;
  /** Undefined where the application had loaded tfjs-node itself. */
  readonly installation: Installation | undefined;
  /**
   * Whether TensorFlow knows this package's kernels: on a CPU, with a library that `peft setup
   * tensorflow` made.
   */
  readonly hasKernels: boolean;
}

let loaded:
  | (LoadedBackend & { readonly threads: number | undefined; readonly fusedKernels: boolean })
  | undefined;

/**
 * @throws PEFT_TENSORFLOW_MISSING, PEFT_TENSORFLOW_INCOMPLETE, PEFT_TENSORFLOW_LOAD;
 *   PEFT_CONFIG_INVALID for options that come too late
 */
export function loadBackend({ threads, fusedKernels }: LoadOptions = {}): LoadedBackend {
  if (threads !== undefined) check.positiveInteger('tensorflow', 'threads', threads);
  if (fusedKernels !== undefined) check.boolean('tensorflow', 'fusedKernels', fusedKernels);
  loaded ??= {
    ...(registered() ?? load(threads, fusedKernels ?? true)),
    threads,
    fusedKernels: fusedKernels ?? true,
  };
  if (threads !== undefined && loaded.threads !== threads) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `tensorflow: threads is ${threads}, but TensorFlow was loaded with ` +
        `${loaded.threads ?? 'all cores'} in this process.`,
      { hint: 'give the number when the engine is first made, or start a process for each' },
    );
  }
  if (fusedKernels !== undefined && loaded.fusedKernels !== fusedKernels) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `tensorflow: fusedKernels is ${fusedKernels}, but TensorFlow was loaded with ${!fusedKernels} in this process.`,
      { hint: 'say it when the engine is first made, or start a process for each' },
    );
  }
  return loaded;
}

/** tfjs-node that the application imported itself. */
function registered(): LoadedBackend | undefined {
  if (!tf.engine().registryFactory[TENSORFLOW_BACKEND]) return undefined;
  // tfjs-node registers its own class under this name
  const backend = tf.findBackend(TENSORFLOW_BACKEND) as unknown as TensorflowBackend;
  backend.binding = withNamedErrors(backend.binding);
  return {
    backend,
    version: backend.binding.TF_Version,
    installation: undefined,
    hasKernels: false,
  };
}

function load(threads: number | undefined, fusedKernels: boolean): LoadedBackend {
  const { found, problems } = findInstallations();
  const installation = found[0];
  if (!installation) {
    const [code, what] =
      problems.length > 0
        ? ['PEFT_TENSORFLOW_INCOMPLETE', problems.join('; ')]
        : ['PEFT_TENSORFLOW_MISSING', 'no TensorFlow library is set up on this machine'];
    throw new PeftError(code, `tensorflow: ${what}.`, { hint: 'run: peft setup tensorflow' });
  }
  prepareEnvironment(threads);
  const binding = withNamedErrors(loadBinding(installation));
  const scripts = loadScripts(installation.scripts);
  scripts.registerKernels();
  const backend = scripts.createBackend(
    binding,
    installation.build === 'cuda' ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node',
  );
  // nothing switches to it by itself
  tf.registerBackend(TENSORFLOW_BACKEND, () => backend as unknown as tf.KernelBackend, 0);
  return {
    backend,
    version: binding.TF_Version,
    installation,
    hasKernels: fusedKernels && loadKernels(installation, backend),
  };
}

/** Read by the library when it is loaded; what the user has set stays. */
function prepareEnvironment(threads: number | undefined): void {
  // takes memory as it is needed, not the whole card
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // errors
  if (threads !== undefined) process.env['TF_NUM_INTRAOP_THREADS'] = String(threads);
}

function loadBinding(installation: Installation): TensorflowBinding {
  try {
    return createRequire(import.meta.url)(installation.binding) as TensorflowBinding;
  } catch (cause) {
    throw loadError(installation.binding, cause as Error);
  }
}

/** The kernels compute on CPUs only: on a GPU TensorFlow's own serve. */
function loadKernels({ kernels }: Installation, { isUsingGpuDevice }: TensorflowBackend): boolean {
  if (kernels === undefined || isUsingGpuDevice) return false;
  const threads = Number(process.env['TF_NUM_INTRAOP_THREADS']) || availableParallelism();
  try {
    (createRequire(import.meta.url)(kernels) as { register(threads: number): void }).register(
      Math.min(Math.max(1, Math.trunc(threads)), 256),
    );
    return true;
  } catch (cause) {
    throw loadError(kernels, cause as Error);
  }
}

/** What the dynamic linker's words mean. */
export function loadError(path: string, cause: Error): PeftError {
  const [reason = ''] = cause.message.split('\n');
  const library =
    /(\S+?): cannot open shared object file|Library not loaded: (\S+)/
      .exec(reason)
      ?.slice(1)
      .find(Boolean) ?? '';
  if (/cuda|cudnn|cublas|cufft|nccl|nvidia/i.test(library))
    return new PeftError(
      'PEFT_GPU_CUDA',
      `tensorflow: the CUDA library ${library} was not found.`,
      {
        hint:
          'run: peft setup tensorflow --device cuda   (fetches the CUDA libraries that this ' +
          'TensorFlow was built for)',
        cause,
      },
    );
  if (library)
    return new PeftError(
      'PEFT_TENSORFLOW_INCOMPLETE',
      `tensorflow: ${library}, which ${path} needs, was not found.`,
      { hint: 'run: peft setup tensorflow', cause },
    );
  if (/GLIBC(XX)?_/.test(reason))
    return new PeftError(
      'PEFT_TENSORFLOW_LOAD',
      `tensorflow: the library was built for a newer system than this one: ${reason}`,
      {
        hint: 'use a newer system, or set up an older TensorFlow: peft setup tensorflow --tensorflow VERSION',
        cause,
      },
    );
  return new PeftError(
    'PEFT_TENSORFLOW_LOAD',
    `tensorflow: ${path} could not be loaded: ${reason}`,
    { hint: 'run: peft setup tensorflow', cause },
  );
}
