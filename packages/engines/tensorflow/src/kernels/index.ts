/**
 * The operations that have kernels of their own here; every other runs by its reference, op by op
 * on the device.
 */
import type { Device } from '../device.js';
import { registerAttention } from './attention.js';
import { registerDisentangledAttention } from './disentangled-attention.js';
import { registerFused } from './fused.js';
import { registerOwnKernels } from './own-kernel.js';
import { registerRows } from './rows.js';

let isDone = false;

/** Once per process. @param fused the device, where TensorFlow has this package's own kernels. */
export function registerKernels(fused: Device | undefined): void {
  if (isDone) return;
  isDone = true;
  registerAttention();
  registerDisentangledAttention();
  registerRows();
  if (!fused) return;
  registerFused(fused);
  registerOwnKernels(fused);
}
