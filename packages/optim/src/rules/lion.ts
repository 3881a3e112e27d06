/**
 * Lion: the sign of an interpolated momentum, with decoupled weight decay.
 *
 * θ ← θ·(1 − lr·λ) − lr·sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g
 *
 * @see Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2
 */
import { check } from '@peft/errors';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { defineOptimizer, elementwise, type ElementwiseKernel } from './define-optimizer.js';
import type { Optimizer } from './optimizer.js';
import type { TensorRule } from './tensor-rule.js';

/** Settings of `lion`; the defaults are the paper's. */
export interface LionOptions {
  /** Interpolation for the step's direction, in [0, 1). Default 0.9. */
  readonly beta1?: number;
  /** Memory of the momentum, in [0, 1). Default 0.99. */
  readonly beta2?: number;
}

/**
 * Lion. State per parameter: `state1` (bitsandbytes' name), 4 bytes an element. Learning rates are
 * 3 to 10 times smaller than AdamW's.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 */
export function lion(options: LionOptions = {}): Optimizer {
  const settings = lionDefaults('lion', options);
  return defineOptimizer({
    name: 'lion',
    slots: (shape) => [{ name: 'state1', dtype: 'F32', shape, span: 1 }],
    updateParameter: elementwise(lionKernel(settings)),
    tensors: lionTensors(settings),
  });
}

/**
 * Fills the defaults.
 * @throws PEFT_CONFIG_INVALID in the name of `owner` for an option out of range.
 */
export function lionDefaults(
  owner: string,
  { beta1 = 0.9, beta2 = 0.99 }: LionOptions,
): Required<LionOptions> {
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
      // without a branch that guesses wrong half the time
      const sign = direction === 0 ? 0 : direction / Math.abs(direction);
      values[i] = values[i]! * shrink - learningRate * sign;
      momentum[i] = m * beta2 + g * (1 - beta2);
    }
  };
}

/**
 * Where β₁m and (1 − β₁)g all but cancel, rounding decides the sign: such an element moves the
 * other way than in float64.
 */
const lionTensors = ({
  beta1,
  beta2,
}: Required<LionOptions>): TensorRule<
  'shrink' | 'learningRate' | 'beta1' | 'new1' | 'beta2' | 'new2'
> => ({
  coefficients: ({ learningRate, weightDecay }) => ({
    shrink: 1 - learningRate * weightDecay,
    learningRate,
    beta1,
    new1: 1 - beta1,
    beta2,
    new2: 1 - beta2,
  }),
  update(values, gradient, slots, { shrink, learningRate, ...betas }) {
    const [m] = slots as [Tensor1D];
    const change = tf.tidy(() =>
      tf.mul(tf.sign(tf.add(tf.mul(m, betas.beta1), tf.mul(gradient, betas.new1))), learningRate),
    );
    return {
      values: tf.tidy(() => tf.sub(tf.mul(values, shrink), change)),
      slots: [tf.tidy(() => tf.add(tf.mul(m, betas.beta2), tf.mul(gradient, betas.new2)))],
    };
  },
});
