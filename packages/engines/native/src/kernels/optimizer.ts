/** The optimiser's arithmetic over arrays. */
import * as tf from '@tensorflow/tfjs';
import type { PeftArrayKernels } from '@peft/ops';
import { NATIVE_BACKEND, type NativeBackend } from '../native-backend.js';

/** Registers AdamW. */
export function registerOptimizer(): void {
  if (tf.getKernel('PeftAdamW', NATIVE_BACKEND)) return;
  tf.registerKernel({
    kernelName: 'PeftAdamW',
    backendName: NATIVE_BACKEND,
    kernelFunc: ({ attrs, backend }) => {
      // the attributes of this kernel, which arrayKernel() of @peft/ops passes through tfjs
      const {
        values,
        gradient,
        m,
        v,
        stepSize,
        rootCorrection,
        shrink,
        beta1,
        beta2,
        epsilon,
        gradientScale,
        // tfjs types every kernel's attributes alike
      } = attrs as unknown as PeftArrayKernels['PeftAdamW'];
      (backend as NativeBackend).binding.adamW(
        [values],
        [gradient],
        [m],
        [v],
        Float64Array.of(stepSize),
        Float64Array.of(rootCorrection),
        Float64Array.of(shrink),
        beta1,
        beta2,
        epsilon,
        gradientScale,
      );
      return [];
    },
  });
}
