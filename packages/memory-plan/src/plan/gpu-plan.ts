/**
 * Two budgets: what lies on a GPU, and what the process keeps in the machine's memory meanwhile.
 *
 * GPU: its runtime + weights + adapters + gradients + max(activations, evaluation), or while it
 * loads, the weights and the one that is converted. Machine: runtime + optimiser state + max(what
 * the update reads back, the tensor that is read from a file, twice) + what the engine keeps there
 * of what it uploaded.
 */
import type { CardSizing } from '@peft/ops';
import type { MachineMemory } from './machine-memory.js';

/** A card, and what a run may take of it. */
export interface PlannedGpu extends MachineMemory {
  readonly name: string;
  /** What the engine's libraries take of it that is not in use yet. Default: what the engine says. */
  readonly runtimeBytes?: number;
}

/** What a run holds in a GPU's memory. */
export interface GpuPlan {
  readonly name: string;
  readonly runtimeBytes: number;
  /** Of the optimiser state, what lies on the card. */
  readonly optimizerStateBytes: number;
  /** In the machine's memory: what the engine keeps of what was uploaded. */
  readonly hostCopyBytes: number;
  readonly loadingPeakBytes: number;
  readonly peakBytes: number;
  readonly memory: MachineMemory;
  readonly fits: boolean;
}

/** While the weights come one by one. */
export interface LoadingBytes {
  /** Those that are there and the one that is read, unless the engine maps that from its file. */
  readonly most: number;
  /** The largest of those that are read. */
  readonly largest: number;
  /** Of quantised weights as they are kept. */
  readonly packed: number;
}

export interface GpuParts {
  readonly weightBytes: number;
  readonly adapterBytes: number;
  readonly gradientBytes: number;
  readonly optimizerStateBytes: number;
  readonly pagedStateBytes: number;
  readonly activationBytes: number;
  readonly evaluationBytes: number;
  readonly updateBytes: number;
  /** Of the process. */
  readonly runtimeBytes: number;
  readonly loadingBytes: LoadingBytes;
  readonly optimizerStateOn: 'host' | 'device';
}

/**
 * Seven pages of 8 MiB: see `deviceStateStore` of `@peft/optim`. A parameter that spans several
 * takes twice its own size besides.
 */
const PAGE_UPDATE_BYTES = 7 * 2 ** 23;

export function gpuPlan(
  { name, totalBytes, usableBytes, runtimeBytes: given }: PlannedGpu,
  card: CardSizing,
  parts: GpuParts,
): { readonly gpu: GpuPlan; readonly peakBytes: number; readonly loadingPeakBytes: number } {
  const {
    weightBytes,
    adapterBytes,
    gradientBytes,
    activationBytes,
    evaluationBytes,
    updateBytes,
    loadingBytes,
    optimizerStateOn,
  } = parts;
  const runtimeBytes = given ?? card.runtimeBytes;
  const isOnCard = optimizerStateOn === 'device';
  const optimizerStateBytes = isOnCard ? parts.optimizerStateBytes : 0;
  const onCard =
    runtimeBytes +
    weightBytes +
    adapterBytes +
    gradientBytes +
    optimizerStateBytes +
    Math.max(activationBytes, evaluationBytes, isOnCard ? PAGE_UPDATE_BYTES + updateBytes : 0);
  const gpuLoading = runtimeBytes + loadingBytes.most;
  const gpuPeak = Math.max(onCard, gpuLoading);
  const hostCopyBytes = card.hostCopyBytes(loadingBytes.packed, adapterBytes);
  const inProcess =
    parts.runtimeBytes +
    hostCopyBytes +
    (isOnCard ? parts.pagedStateBytes : parts.optimizerStateBytes) +
    (isOnCard ? 0 : updateBytes);
  const loadingPeakBytes =
    parts.runtimeBytes + card.hostCopyBytes(loadingBytes.packed, 0) + 2 * loadingBytes.largest;
  return {
    gpu: {
      name,
      runtimeBytes,
      optimizerStateBytes,
      hostCopyBytes,
      loadingPeakBytes: gpuLoading,
      peakBytes: gpuPeak,
      memory: { totalBytes, usableBytes },
      fits: gpuPeak <= usableBytes,
    },
    peakBytes: Math.max(inProcess, loadingPeakBytes),
    loadingPeakBytes,
  };
}
