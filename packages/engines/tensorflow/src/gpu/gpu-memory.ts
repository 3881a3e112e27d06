/** What a run may take of a card. */
import { visibleGpus, type Gpu, type GpuProbe } from './gpu-probe.js';

/** The memory of a GPU as it is now. */
export interface GpuMemory {
  readonly name: string;
  readonly totalBytes: number;
  readonly usableBytes: number;
}

/** TensorFlow's allocator leaves gaps between what it holds, and others use the card, too. */
const USABLE = 0.9;

/** Nine tenths of what is free. */
export const gpuMemory = ({
  name,
  totalBytes,
  freeBytes,
}: Pick<Gpu, 'name' | 'totalBytes' | 'freeBytes'>): GpuMemory => ({
  name,
  totalBytes,
  usableBytes: Math.floor(freeBytes * USABLE),
});

/**
 * Of the card that TensorFlow would take, the first that is visible; undefined where there is none,
 * nvidia-smi does not say what it has, or the library is for CPUs.
 * @param build what the library in use was built for
 */
export function visibleGpuMemory(
  probe: GpuProbe,
  build: 'cpu' | 'cuda' | undefined,
): GpuMemory | undefined {
  const card = visibleGpus(probe)[0];
  return card && Number.isFinite(card.freeBytes) && build !== 'cpu' ? gpuMemory(card) : undefined;
}
