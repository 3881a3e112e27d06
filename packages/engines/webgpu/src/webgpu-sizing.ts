/** What the WebGPU engine holds in memory: one kernel for each operation, and what it works with. */
import { weightBytes, type EngineSizing } from '@peft/ops';
import { KERNEL_HOLDS } from './kernels/kernel-holds.js';

/** Weights lie on the card as they are stored; products read them tile by tile. */
export const webgpuSizing: EngineSizing = Object.freeze<EngineSizing>({
  name: 'webgpu',
  // assumed: the native engine's and Dawn's; no card was measured
  runtimeBytes: 350e6,
  mapsFiles: false,
  kernels: KERNEL_HOLDS,
  hasActivatedProducts: true,
  // what only checkpoints have becomes bfloat16
  weightBytes: ({ shape, format, size }) =>
    weightBytes(
      shape[0]!,
      shape[1]!,
      format === 'int4' || format === 'mxfp4' ? { format: 'bf16' } : size,
    ),
  productBytes: () => 0,
  rowsBytes: () => 0,
  matrixBytes: () => 0,
});
