/** How kernels are registered for the WebGPU backend. */
import * as tf from '@tensorflow/tfjs';
import type { TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { WEBGPU_BACKEND, type WebgpuBackend } from './webgpu-backend.js';

/** What a kernel is called with. */
export interface KernelCall<A = Record<string, unknown>> {
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly attributes: A;
  readonly backend: WebgpuBackend;
}

/** Registers a kernel once. */
export function register<A = Record<string, unknown>>(
  name: string,
  run: (call: KernelCall<A>) => TensorInfo | TensorInfo[],
): void {
  if (tf.getKernel(name, WEBGPU_BACKEND)) return;
  tf.registerKernel({
    kernelName: name,
    backendName: WEBGPU_BACKEND,
    kernelFunc: ({ inputs, attrs, backend }) =>
      run({
        inputs: inputs as Record<string, TensorInfo>,
        attributes: attrs as A,
        // registered for this backend alone
        backend: backend as WebgpuBackend,
      }),
  });
}

/** WGSL's type of a tensor's elements. */
export const wgslType = ({ dtype }: TensorInfo): 'f32' | 'i32' =>
  dtype === 'float32' ? 'f32' : 'i32';

/** @throws PEFT_WEBGPU_DTYPE unless the tensor has float32 values */
export function requireFloat(kernel: string, ...tensors: readonly TensorInfo[]): void {
  for (const { dtype, shape } of tensors)
    if (dtype !== 'float32')
      throw new PeftError(
        'PEFT_WEBGPU_DTYPE',
        `webgpu: ${kernel} needs float32 values, got a ${dtype} tensor of shape [${shape.join(', ')}].`,
        { hint: 'cast it with tf.cast(x, "float32")' },
      );
}
