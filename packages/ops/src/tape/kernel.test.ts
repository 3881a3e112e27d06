import * as tf from '@tensorflow/tfjs';
import { afterAll, expect, test, vi } from 'vitest';
import { hasKernel, runKernel, withReferenceKernels } from './kernel.js';

const kernel = vi.fn(
  ({ inputs, backend }: { inputs: Record<string, tf.Tensor>; backend: unknown }) => {
    expect(backend).toBe(tf.backend());
    return tf.add(inputs['x']!, 1);
  },
);
afterAll(() => tf.unregisterKernel('PeftSumRows', 'cpu'));

test(
  'a kernel registered for the backend runs in place of the reference, except where ' +
    'references are asked for',
  async () => {
    await tf.setBackend('cpu');
    tf.tidy(() => {
      const run = () =>
        runKernel('PeftSumRows', { x: tf.scalar(1) }, {}, () => [tf.scalar(-1)])[0]!.dataSync()[0];
      expect(hasKernel('PeftSumRows')).toBe(false);
      expect(run()).toBe(-1);
      tf.registerKernel({
        kernelName: 'PeftSumRows',
        backendName: 'cpu',
        kernelFunc: kernel as unknown as tf.KernelFunc,
      });
      expect(hasKernel('PeftSumRows')).toBe(true);
      expect(run()).toBe(2);
      expect(withReferenceKernels(run)).toBe(-1);
      expect(() =>
        withReferenceKernels(() => {
          throw new Error('inside');
        }),
      ).toThrow('inside');
      expect(run()).toBe(2);
    });
  },
);
