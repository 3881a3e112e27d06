/** What `peft setup tensorflow` leaves in the cache folder, for those who write and read it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a finished setup says of itself, in `SETUP_LAYOUT.record`. */
export interface SetupRecord {
  /** TensorFlow's version as the library says it. */
  readonly tensorflow: string;
  /** Version of the scripts. */
  readonly tfjsNode: string;
  /** What the library was built for. */
  readonly build: 'cpu' | 'cuda';
  /** `linux-x64`, … */
  readonly platform: string;
}

/** Names relative to the folder of one setup; `current` is relative to the cache folder. */
export const SETUP_LAYOUT = Object.freeze({
  /** In the cache folder: `{ "folder": "2.21.0-cpu" }`, the setup in use. */
  current: 'current.json',
  /** A {@link SetupRecord}, written last. */
  record: 'setup.json',
  /** tfjs-node's compiled addon. */
  binding: join('build', 'Release', 'tfjs_binding.node'),
  /** This package's compiled kernels for CPUs. */
  kernels: join('build', 'Release', 'peft_kernels.node'),
  /** tfjs-node's folder, with `dist`. */
  scripts: 'tfjs-node',
});

/** The folder of the C++ sources of this package's kernels, which a setup compiles. */
export const kernelSources = (): string => fileURLToPath(new URL('../cpp', import.meta.url));
