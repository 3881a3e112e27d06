/** Where WebGPU comes from: the page, or Dawn's module for Node. */
import { PeftError } from '@peft/errors';

/** What `webgpu` on npm exports. */
interface DawnModule {
  create(options: readonly string[]): GPU;
}

/**
 * Workgroup memory is not set to zero first: every kernel here writes what it reads, and a software
 * driver takes twenty times as long to compile the kernel otherwise.
 */
const DAWN_OPTIONS = ['enable-dawn-features=disable_workgroup_init'] as const;

let dawn: GPU | undefined;

/**
 * The page's WebGPU, else Dawn, which is started once in a process.
 * @throws PEFT_WEBGPU_MISSING where there is neither
 */
export async function findGpu(): Promise<GPU> {
  // absent in Node, and in pages without a safe connection
  const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (own) return own;
  if (dawn) return dawn;
  let module: DawnModule;
  try {
    // the types of the module are of its own
    module = (await import('webgpu')) as unknown as DawnModule;
  } catch (cause) {
    const isMissing = (cause as { code?: string }).code === 'ERR_MODULE_NOT_FOUND';
    const [reason = ''] = (cause as Error).message.split('\n');
    throw new PeftError(
      'PEFT_WEBGPU_MISSING',
      isMissing
        ? 'webgpu: the package "webgpu", which brings WebGPU to Node, is not installed.'
        : `webgpu: the package "webgpu" could not be loaded: ${reason}`,
      { hint: isMissing ? 'npm i webgpu' : 'its binaries need a newer system', cause },
    );
  }
  dawn = module.create(DAWN_OPTIONS);
  return dawn;
}
