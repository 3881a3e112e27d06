/**
 * AdamW, Adam with decoupled weight decay, as PyTorch computes it.
 *
 * θ ← θ·(1 − lr·λ); m ← m + (g − m)(1 − β₁); v ← β₂v + (1 − β₂)g²; θ ← θ − lr/(1 − β₁ᵗ) · m /
 * (√v/√(1 − β₂ᵗ) + ε)
 *
 * @see Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2
 */
import { check } from '@peft/errors';
import { arrayKernel, runKernel, type AdamWNumber } from '@peft/ops';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import { defineOptimizer, elementwise, type ElementwiseKernel } from './define-optimizer.js';
import type { UpdateContext } from './update-context.js';
import type { Optimizer } from './optimizer.js';
import type { SlotSpec } from '../state/slots.js';
import type { TensorRule } from './tensor-rule.js';

/** Settings of `adamw` and `adam`; the defaults are PyTorch's. */
export interface AdamOptions {
  /** Memory of the first moment, in [0, 1). Default 0.9. */
  readonly beta1?: number;
  /** Memory of the second moment, in [0, 1). Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. AutoGluon uses 1e-6. */
  readonly epsilon?: number;
}

type AdamKernelFactory = (options: Required<AdamOptions>) => ElementwiseKernel;

/**
 * AdamW. State per parameter: `exp_avg` and `exp_avg_sq`, 8 bytes an element.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 */
export function adamw(options: AdamOptions = {}): Optimizer {
  const settings = adamDefaults('adamw', options);
  return defineOptimizer({
    name: 'adamw',
    slots: adamSlots('exp_avg', 'exp_avg_sq'),
    updateParameter: elementwise(decoupledAdam(settings)),
    tensors: decoupledAdamTensors(settings),
  });
}

/**
 * Adam with weight decay added to the gradient (L2): g ← g + λθ before the moments, otherwise as
 * AdamW.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 * @see Kingma & Ba 2015, algorithm 1
 */
export function adam(options: AdamOptions = {}): Optimizer {
  const settings = adamDefaults('adam', options);
  return defineOptimizer({
    name: 'adam',
    slots: adamSlots('exp_avg', 'exp_avg_sq'),
    updateParameter: elementwise(coupledAdam(settings)),
    tensors: coupledAdamTensors(settings),
  });
}

/**
 * Fills the defaults.
 * @throws PEFT_CONFIG_INVALID in the name of `owner` for an option out of range.
 */
export function adamDefaults(
  owner: string,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions,
): Required<AdamOptions> {
  check.probability(owner, 'beta1', beta1);
  check.probability(owner, 'beta2', beta2);
  check.positive(owner, 'epsilon', epsilon);
  return { beta1, beta2, epsilon };
}

/**
 * Two float32 moments of the parameter's shape, under the names that the reference library gives
 * them.
 */
export function adamSlots(first: string, second: string): (shape: readonly number[]) => SlotSpec[] {
  return (shape) => [
    { name: first, dtype: 'F32', shape, span: 1 },
    { name: second, dtype: 'F32', shape, span: 1 },
  ];
}

/** AdamW's arithmetic, by the engine's kernel where there is one; arrays `[m, v]`. */
export const decoupledAdam: AdamKernelFactory =
  ({ beta1, beta2, epsilon }) =>
  (values, gradient, arrays, context) => {
    const [m, v] = arrays as [Float32Array, Float32Array];
    const { gradientScale } = context;
    const { stepSize, rootCorrection, shrink } = adamCoefficients(beta1, beta2, context);
    const kernel = arrayKernel('PeftAdamW');
    if (kernel)
      return kernel({
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
      });
    for (let i = 0; i < values.length; i += 1) {
      const g = Math.fround(gradient[i]! * gradientScale);
      const first = m[i]! + (g - m[i]!) * (1 - beta1);
      const second = beta2 * v[i]! + (1 - beta2) * g * g;
      m[i] = first;
      v[i] = second;
      values[i] =
        values[i]! * shrink - (stepSize * first) / (Math.sqrt(second) / rootCorrection + epsilon);
    }
  };

const coupledAdam: AdamKernelFactory =
  ({ beta1, beta2, epsilon }) =>
  (values, gradient, arrays, context) => {
    const [m, v] = arrays as [Float32Array, Float32Array];
    const { gradientScale, weightDecay } = context;
    const { stepSize, rootCorrection } = adamCoefficients(beta1, beta2, context);
    for (let i = 0; i < values.length; i += 1) {
      const g = Math.fround(gradient[i]! * gradientScale) + weightDecay * values[i]!;
      const first = m[i]! + (g - m[i]!) * (1 - beta1);
      const second = beta2 * v[i]! + (1 - beta2) * g * g;
      m[i] = first;
      v[i] = second;
      values[i] = values[i]! - (stepSize * first) / (Math.sqrt(second) / rootCorrection + epsilon);
    }
  };

/** lr/(1 − β₁ᵗ), √(1 − β₂ᵗ) and 1 − lr·λ. */
export function adamCoefficients(
  beta1: number,
  beta2: number,
  { step, learningRate, weightDecay }: UpdateContext,
): { stepSize: number; rootCorrection: number; shrink: number } {
  return {
    stepSize: learningRate / (1 - beta1 ** step),
    rootCorrection: Math.sqrt(1 - beta2 ** step),
    shrink: 1 - learningRate * weightDecay,
  };
}

const decoupledAdamTensors = ({
  beta1,
  beta2,
  epsilon,
}: Required<AdamOptions>): TensorRule<AdamWNumber> => ({
  coefficients: (context) => ({
    ...adamCoefficients(beta1, beta2, context),
    newFirst: 1 - beta1,
    beta2,
    newSecond: 1 - beta2,
    epsilon,
  }),
  update(values, gradient, slots, numbers) {
    const [m, v] = slots;
    const [made, ...moved] = runKernel(
      'PeftAdamWTensors',
      { values, gradient, m, v, ...numbers },
      {},
      () => {
        const { first, second, change } = moments(gradient, slots, numbers);
        return [tf.sub(tf.mul(values, numbers.shrink), change), first, second];
      },
    ) as Tensor1D[];
    return { values: made!, slots: moved };
  },
});

const coupledAdamTensors = ({
  beta1,
  beta2,
  epsilon,
}: Required<AdamOptions>): TensorRule<AdamCoefficient | 'weightDecay'> => ({
  coefficients: (context) => {
    const { stepSize, rootCorrection } = adamCoefficients(beta1, beta2, context);
    return {
      stepSize,
      rootCorrection,
      weightDecay: context.weightDecay,
      newFirst: 1 - beta1,
      beta2,
      newSecond: 1 - beta2,
      epsilon,
    };
  },
  update(values, gradient, slots, numbers) {
    const { first, second, change } = moments(
      tf.add(gradient, tf.mul(values, numbers.weightDecay)),
      slots,
      numbers,
    );
    return { values: tf.sub(values, change), slots: [first, second] };
  },
});

type AdamCoefficient =
  'stepSize' | 'rootCorrection' | 'newFirst' | 'beta2' | 'newSecond' | 'epsilon';

/**
 * New moments, and what is taken from the values. What comes in between goes at once: a page's
 * memory on the device is a multiple of what lives.
 */
function moments(
  gradient: Tensor1D,
  slots: readonly Tensor1D[],
  {
    stepSize,
    rootCorrection,
    newFirst,
    beta2,
    newSecond,
    epsilon,
  }: Readonly<Record<AdamCoefficient, Tensor>>,
): Record<'first' | 'second' | 'change', Tensor1D> {
  const [m, v] = slots as [Tensor1D, Tensor1D];
  const first = tf.tidy(() => tf.add<Tensor1D>(m, tf.mul(tf.sub(gradient, m), newFirst)));
  const second = tf.tidy(() =>
    tf.add<Tensor1D>(tf.mul(v, beta2), tf.mul(tf.square(gradient), newSecond)),
  );
  const denominator = tf.tidy(() => tf.add(tf.div(tf.sqrt(second), rootCorrection), epsilon));
  return { first, second, change: tf.tidy(() => tf.div(tf.mul(first, stepSize), denominator)) };
}
