/**
 * Kernels over plain arrays, which an engine may register for its tfjs backend beside those of
 * `kernels.ts`: they are called with attributes alone, change arrays in place and return no tensor.
 */
import * as tf from '@tensorflow/tfjs';

/**
 * Kernels on plain arrays rather than tensors, which an engine may have; who calls them has the
 * same loop in JavaScript.
 */
export interface PeftArrayKernels {
  /**
   * AdamW on a range of a parameter, all arrays equally long: g = float32(gradient·gradientScale);
   * m += (g − m)(1 − β₁); v = β₂v + (1 − β₂)·g·g; θ = θ·shrink − (stepSize·m)/(√v/rootCorrection +
   * ε). Intermediate values are float64, stored ones float32, each operation rounded by itself, so
   * that it gives the bytes of the loop in JavaScript.
   */
  PeftAdamW: {
    readonly values: Float32Array;
    readonly gradient: Float32Array;
    readonly m: Float32Array;
    readonly v: Float32Array;
    readonly stepSize: number;
    readonly rootCorrection: number;
    readonly shrink: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    readonly gradientScale: number;
  };
}

/** The kernel of that name, where the current tfjs backend has one. */
export function arrayKernel<K extends keyof PeftArrayKernels>(
  name: K,
): ((attributes: PeftArrayKernels[K]) => void) | undefined {
  const kernel = tf.getKernel(name, tf.getBackend());
  return (
    kernel &&
    ((attributes) =>
      void kernel.kernelFunc({ inputs: {}, attrs: attributes, backend: tf.backend() }))
  );
}
