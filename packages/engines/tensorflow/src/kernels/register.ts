/** How kernels are registered for the backend. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { KernelName, PeftKernels } from '@peft/ops';
import { TENSORFLOW_BACKEND } from '../load-backend.js';

export type Inputs<K extends KernelName> = Partial<Record<PeftKernels[K]['inputs'], Tensor>>;

/** @param run in tfjs ops, off the tape; what it makes and does not return is freed. */
export function register<K extends KernelName>(
  name: K,
  run: (inputs: Inputs<K>, attributes: PeftKernels[K]['attributes']) => Tensor | Tensor[],
): void {
  if (tf.getKernel(name, TENSORFLOW_BACKEND)) return;
  tf.registerKernel({
    kernelName: name,
    backendName: TENSORFLOW_BACKEND,
    // `attrs` are those of this kernel's name, which tfjs's type does not know
    kernelFunc: ({ inputs, attrs }) => tf.tidy(() => run(inputs as Inputs<K>, attrs as never)),
  });
}

/** An input that is absent, and the gradient of one that is absent or not asked for. */
export const nothing = (): Tensor => tf.zeros([0]);
