/** What the WebGPU engine holds in memory: one kernel for each operation, and what it works with. */
import { weightBytes, type EngineSizing } from '@peft/ops';
import { KERNEL_HOLDS } from './kernels/kernel-holds.js';

/** Weights lie on the card as they are stored; products read them tile by tile. */
export const webgpuSizing: EngineSizing = Object.freeze<EngineSizing>({
  name: 'webgpu',
  // measured, as the native engine's, with Dawn and its driver
  runtimeBytes: 330e6,
  mapsFiles: false,
  kernels: KERNEL_HOLDS,
  hasActivatedProducts: true,
  weightBytes: ({ shape, size }) => weightBytes(shape[0]!, shape[1]!, size),
  productBytes: () => 0,
  rowsBytes: () => 0,
  matrixBytes: () => 0,
});
