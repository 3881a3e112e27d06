/** The WebGPU engine under its name. */
import { defineEngine } from '@peft/ops';
import { createWebgpuEngine } from './webgpu-engine.js';
import { webgpuSizing } from './webgpu-sizing.js';

/**
 * What `openModel` of `@peft/core` makes the engine with, and `withEngines` of `@peft/predictor`.
 * It computes in float32, whatever it is asked for.
 */
export const webgpuEngine = defineEngine({
  name: 'webgpu',
  create: () => createWebgpuEngine(),
  sizing: () => webgpuSizing,
});
