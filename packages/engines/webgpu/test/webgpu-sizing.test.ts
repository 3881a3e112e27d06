import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { webgpuSizing } from '../src/index.js';
import { describeOnWebgpu } from './with-driver.js';

describeOnWebgpu('what the WebGPU engine says that it holds', (engine) => {
  test('a plan knows the kernels that the backend has', () => {
    const registered = tf
      .getKernelsForBackend(engine().backendName)
      .map(({ kernelName }) => kernelName)
      .filter((name) => name.startsWith('Peft'));
    expect(Object.keys(webgpuSizing.kernels).sort()).toEqual(registered.sort());
    expect(engine().sizing).toBe(webgpuSizing);
  });
});
