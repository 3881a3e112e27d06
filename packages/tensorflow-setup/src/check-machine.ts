/** Whether a setup can succeed on this machine, before anything is fetched. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { PeftError } from '@peft/errors';
import { cudaProblem, probeGpus } from '@peft/tensorflow';
import type { Setup } from './setup-options.js';

/** What the unpacked library takes, with room for the downloads. */
const NEEDED_BYTES = { cpu: 1.5e9, cuda: 9e9 } as const;

/**
 * Makes the cache folder and looks at system, driver and disk.
 *
 * @throws PEFT_SETUP_PLATFORM no setup exists for this system.
 * @throws PEFT_SETUP_SPACE less is free than 1.5 GB (`cpu`) or 9 GB (`cuda`).
 * @throws PEFT_GPU_DRIVER, PEFT_GPU_MISSING for `cuda`, where no driver can run it.
 */
export function checkMachine({ device, home, partial }: Setup): void {
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
      `setup: ${home} has ${((bavail * bsize) / 1e9).toFixed(1)} GB left, and ` +
        `${(needed / 1e9).toFixed(1)} GB are needed.`,
      { hint: 'make room, or choose another folder with PEFT_TENSORFLOW_HOME' },
    );
}
