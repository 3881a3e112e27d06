/** What the native engine holds in memory: one kernel for each operation, nothing in between. */
import { weightBytes, type EngineSizing, type KernelHolds, type KernelName } from '@peft/ops';

const KERNELS: readonly KernelName[] = [
  'PeftLayerNorm',
  'PeftLayerNormGradient',
  'PeftRmsNorm',
  'PeftRmsNormGradient',
  'PeftActivation',
  'PeftActivationGradient',
  'PeftGatedActivation',
  'PeftGatedActivationGradient',
  'PeftAttention',
  'PeftSpacedAttention',
  'PeftAttentionGradient',
  'PeftDisentangledAttention',
  'PeftDisentangledAttentionGradient',
  'PeftRope',
  'PeftDropout',
  'PeftScaleColumns',
  'PeftScaleColumnsGradient',
  'PeftSumRows',
  'PeftCrossEntropy',
  'PeftCrossEntropyGradient',
  'PeftAddThinProducts',
  'PeftLayRows',
  'PeftGatherRows',
  'PeftScatterAddRows',
];
const nothing: KernelHolds = () => 0;

/**
 * Weights lie as they are stored, mapped from their file where they stay as they are; products read
 * them panel by panel.
 */
export const nativeSizing: EngineSizing = Object.freeze<EngineSizing>({
  name: 'native',
  // measured: a process with the engine and all packages loaded and one product computed, and what
  // a run adds in bookkeeping and freed tensors that the C library keeps
  runtimeBytes: 240e6,
  mapsFiles: true,
  kernels: Object.freeze(Object.fromEntries(KERNELS.map((name) => [name, nothing]))),
  hasActivatedProducts: true,
  hasAddedProducts: true,
  vocabularyChunk: 1024, // kChunk of cpp/weights/output-loss.cc
  weightBytes: ({ shape, size }) => weightBytes(shape[0]!, shape[1]!, size),
  productBytes: () => 0,
  rowsBytes: () => 0,
  matrixBytes: () => 0,
});
