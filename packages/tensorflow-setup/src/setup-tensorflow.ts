/**
 * Makes tfjs-node work on a current machine: unpacks a TensorFlow library, compiles tfjs-node's own
 * addon against it, tests it, and only then puts it in the place of what was there before.
 *
 * In the cache folder: `downloads/` with what was fetched; `<version>-<device>.partial/` while a
 * setup is under way, with a mark for each archive that is unpacked, so that a second run goes on
 * there; `<version>-<device>/` once finished; `current.json` names the one in use.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gpuProblem, probeGpus, SETUP_LAYOUT, type SetupRecord } from '@peft/tensorflow';
import { checkMachine } from './check-machine.js';
import { compileBinding } from './compile-binding.js';
import { writeError } from './no-space.js';
import { placeLibrary } from './place-library.js';
import { placeScripts, scriptsVersion } from './place-scripts.js';
import { putInPlace } from './put-in-place.js';
import { selfTest } from './self-test.js';
import { type Setup, type SetupOptions, withDefaults } from './setup-options.js';

/** What was set up. */
export interface SetupResult {
  readonly folder: string;
  readonly record: SetupRecord;
  readonly isGpu: boolean;
  /** One line of what was found. */
  readonly summary: string;
}

/**
 * Sets up TensorFlow for the tensorflow engine.
 *
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
    join(setup.partial, SETUP_LAYOUT.binding),
    join(setup.partial, SETUP_LAYOUT.kernels),
    setup.signal,
  );
  if (setup.device === 'cuda' && !tested.isGpu) throw gpuProblem(probeGpus(), 'cuda');
  const tfjsNode = scriptsVersion(setup.partial)!; // placeScripts has looked at it
  const record: SetupRecord = {
    tensorflow: tested.version,
    tfjsNode,
    build: setup.device,
    platform: `${process.platform}-${process.arch}`,
  };
  writeFileSync(join(setup.partial, SETUP_LAYOUT.record), `${JSON.stringify(record, null, 2)}\n`);
  const folder = putInPlace(setup);
  rmSync(setup.downloads, { recursive: true, force: true }); // unpacked, and not needed again
  const products = tested.bfloat16 ? 'float32 and bfloat16' : 'float32';
  return {
    folder,
    record,
    isGpu: tested.isGpu,
    summary:
      `TensorFlow ${tested.version} for ${tested.isGpu ? 'GPUs' : 'CPUs'} with tfjs-node ` +
      `${tfjsNode} on Node ${process.versions.node}: products in ${products} are right; in ` +
      `${folder}`,
  };
}
