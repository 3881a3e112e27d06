/** The operations that the engine computes with kernels of its own. */
import type { Device } from '../device.js';

export function registerKernels(_library: Device, _precision: 'bfloat16' | 'float32'): void {}
