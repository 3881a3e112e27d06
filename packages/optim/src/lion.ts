/**
 * Lion: the sign of an interpolated momentum, with decoupled weight decay.
 *
 * θ ← θ·(1 − lr·λ) − lr·sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g
 *
 * @see Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2
 */
import { check } from '@peft/errors';
import { defineOptimizer, elementwise, type ElementwiseKernel } from './define-optimizer.js';
import type { Optimizer } from './optimizer.js';

export interface LionOptions {
  /** Interpolation for the step's direction, in [0, 1). Default 0.9. */
  readonly beta1?: number;
  /** Memory of the momentum, in [0, 1). Default 0.99. */
  readonly beta2?: number;
}

/**
 * Lion. State per parameter: `state1` (bitsandbytes' name), 4 bytes an element. Learning rates are 3 to 10 times smaller than AdamW's.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 */
export function lion(options: LionOptions = {}): Optimizer {
  return defineOptimizer({ name: 'lion', slots: (shape) => [{ name: 'state1', dtype: 'F32', shape, span: 1 }], updateParameter: elementwise(lionKernel(lionDefaults('lion', options))) });
}

export function lionDefaults(owner: string, { beta1 = 0.9, beta2 = 0.99 }: LionOptions): Required<LionOptions> {
  check.probability(owner, 'beta1', beta1);
  check.probability(owner, 'beta2', beta2);
  return { beta1, beta2 };
}

/** Arrays `[m]`. */
export function lionKernel({ beta1, beta2 }: Required<LionOptions>): ElementwiseKernel {
  return (values, gradient, arrays, { gradientScale, learningRate, weightDecay }) => {
    const momentum = arrays[0] as Float32Array;
    const shrink = 1 - learningRate * weightDecay;
    for (let i = 0; i < values.length; i += 1) {
      const g = Math.fround(gradient[i]! * gradientScale);
      const m = momentum[i]!;
      const direction = m * beta1 + g * (1 - beta1);
      const sign = direction === 0 ? 0 : direction / Math.abs(direction); // without a branch that guesses wrong half the time
      values[i] = values[i]! * shrink - learningRate * sign;
      momentum[i] = m * beta2 + g * (1 - beta2);
    }
  };
}
