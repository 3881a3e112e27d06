/** Why TensorFlow computes without a GPU, and the way out. */
import { PeftError } from '@peft/errors';
import { visibleGpus, type GpuProbe } from './gpu-probe.js';

/** NVIDIA's first driver for CUDA 12; TensorFlow from 2.15 on is built for it. */
const CUDA_12_DRIVER = 525;

const isTooOld = (driver: string): boolean => Number.parseInt(driver, 10) < CUDA_12_DRIVER;

/**
 * Why a library for CUDA need not be fetched here: without a card that can run it, it would serve
 * nobody.
 */
export function cudaProblem(probe: GpuProbe): PeftError | undefined {
  const { gpus } = probe;
  return gpus.length === 0 || gpus.every(({ driver }) => isTooOld(driver))
    ? gpuProblem(
        {
          gpus,
          cardOnBus: probe.cardOnBus,
          visible: undefined,
          problem: probe.problem,
        },
        'cuda',
      )
    : undefined;
}

/** @param build what the library was built for; undefined: unknown. */
export function gpuProblem(probe: GpuProbe, build: 'cpu' | 'cuda' | undefined): PeftError {
  const { gpus, cardOnBus, visible, problem } = probe;
  if (gpus.length === 0 && problem)
    return new PeftError(
      'PEFT_GPU_DRIVER',
      `tensorflow: NVIDIA's driver does not work, nvidia-smi says: ${problem}`,
      {
        hint:
          'after an update of the driver, restart the machine; else install the driver again, ' +
          'and check with: nvidia-smi',
      },
    );
  if (gpus.length === 0 && cardOnBus)
    return new PeftError(
      'PEFT_GPU_DRIVER',
      'tensorflow: there is an NVIDIA card, but no driver runs it (nvidia-smi lists none).',
      {
        hint:
          `install NVIDIA's driver ${CUDA_12_DRIVER} or newer (Debian: apt-get install ` +
          'nvidia-driver), restart, and check with: nvidia-smi',
      },
    );
  if (gpus.length === 0)
    return new PeftError(
      'PEFT_GPU_MISSING',
      'tensorflow: there is no NVIDIA GPU here, or its driver is not installed (nvidia-smi lists none).',
      { hint: 'in a container, start it with access to the GPU (docker run --gpus all)' },
    );
  const names = gpus.map(({ name }) => name).join(', ');
  if (visibleGpus(probe).length === 0)
    return new PeftError(
      'PEFT_GPU_HIDDEN',
      `tensorflow: CUDA_VISIBLE_DEVICES is ${JSON.stringify(visible)}, which hides ${names}.`,
      { hint: 'unset it, or set it to the number of the card to use, 0 for the first' },
    );
  if (build === 'cpu')
    return new PeftError(
      'PEFT_GPU_LIBRARY',
      `tensorflow: ${names} is here, but the TensorFlow library is the one for CPUs.`,
      { hint: 'run: peft setup tensorflow --device cuda' },
    );
  const [{ driver }] = gpus as [(typeof gpus)[number]];
  if (isTooOld(driver))
    return new PeftError(
      'PEFT_GPU_CUDA',
      `tensorflow: NVIDIA's driver ${driver} is older than CUDA 12, which TensorFlow was built for.`,
      { hint: `install driver ${CUDA_12_DRIVER} or newer` },
    );
  return new PeftError(
    'PEFT_GPU_CUDA',
    `tensorflow: ${names} is here with driver ${driver}, but TensorFlow could not load ` +
      'the CUDA libraries that it was built for.',
    {
      hint:
        'run: peft setup tensorflow --device cuda   (fetches them beside the library); ' +
        'TF_CPP_MIN_LOG_LEVEL=0 shows which is missing',
    },
  );
}
