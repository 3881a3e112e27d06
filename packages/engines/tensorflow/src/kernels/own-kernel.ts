/**
 * Kernels of this package that are no operation of @peft/ops: parts of attention. Where TensorFlow
 * lacks them, their callers use tfjs ops.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { Attributes, Device } from '../device.js';
import { TENSORFLOW_BACKEND } from '../load-backend.js';

/** Outputs of each. */
const OUTPUTS = {
  PeftScoreExponentials: 3,
  PeftScoreProbabilities: 1,
  PeftScoreGradient: 1,
  PeftDistanceScores: 1,
  PeftDistanceGradient: 1,
} as const;
export type OwnKernel = keyof typeof OUTPUTS;

export function registerOwnKernels(device: Device): void {
  for (const name of Object.keys(OUTPUTS) as OwnKernel[]) {
    if (tf.getKernel(name, TENSORFLOW_BACKEND)) continue;
    tf.registerKernel({
      kernelName: name,
      backendName: TENSORFLOW_BACKEND,
      kernelFunc: ({ inputs, attrs }) =>
        device.scope(() =>
          device
            .runAll(
              name,
              attrs as unknown as Attributes, // as `runKernel` was given them
              Object.values(inputs) as Tensor[],
              OUTPUTS[name],
            )
            .map((raw) => device.toTensor(raw)),
        ),
    });
  }
}

/**
 * @param inputs in the kernel's order.
 * @returns undefined where the current backend has no such kernel.
 */
export function runOwnKernel(
  name: OwnKernel,
  inputs: Readonly<Record<string, Tensor>>,
  attributes: Attributes = {},
): Tensor[] | undefined {
  return tf.getKernel(name, tf.getBackend())
    ? (tf.engine().runKernel(name, inputs, attributes) as Tensor[])
    : undefined;
}
