/** The operations that have kernels of their own here; every other runs by its reference, op by op on the device. */
import { registerAttention } from './attention.js';
import { registerDisentangledAttention } from './disentangled-attention.js';
import { registerRows } from './rows.js';

let isDone = false;

/** Once per process. */
export function registerKernels(): void {
  if (isDone) return;
  isDone = true;
  registerAttention();
  registerDisentangledAttention();
  registerRows();
}
