/**
 * Stochastic gradient descent with momentum, as PyTorch computes it.
 *
 * g ← g + λθ; b ← μb + g (b ← g in the first step); θ ← θ − lr·b, with Nesterov θ ← θ − lr·(g + μb)
 *
 * @see Sutskever et al. 2013, On the importance of initialization and momentum in deep learning
 */
import { check, PeftError } from '@peft/errors';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { defineOptimizer, elementwise, type ElementwiseKernel } from './define-optimizer.js';
import type { Optimizer } from './optimizer.js';
import type { TensorRule } from './tensor-rule.js';

/** Settings of `sgd`; the defaults are PyTorch's. */
export interface SgdOptions {
  /** μ in [0, 1). Default 0: no momentum and no state. */
  readonly momentum?: number;
  /** Looks one step ahead; needs momentum. Default false. */
  readonly nesterov?: boolean;
}

/**
 * SGD. State per parameter: `momentum_buffer`, 4 bytes an element, none without momentum.
 * @throws PEFT_CONFIG_INVALID for an option out of range or Nesterov without momentum.
 */
export function sgd({ momentum = 0, nesterov = false }: SgdOptions = {}): Optimizer {
  check.probability('sgd', 'momentum', momentum);
  check.boolean('sgd', 'nesterov', nesterov);
  if (nesterov && momentum === 0)
    throw new PeftError('PEFT_CONFIG_INVALID', 'sgd: nesterov needs a momentum, got 0.', {
      hint: 'Set momentum, for instance to 0.9.',
    });
  if (momentum === 0) {
    return defineOptimizer({
      name: 'sgd',
      slots: () => [],
      updateParameter(values, gradient, _state, { gradientScale, learningRate, weightDecay }) {
        for (let i = 0; i < values.length; i += 1)
          values[i] =
            values[i]! -
            learningRate * (Math.fround(gradient[i]! * gradientScale) + weightDecay * values[i]!);
      },
      tensors: plainTensors,
    });
  }
  return defineOptimizer({
    name: 'sgd',
    slots: (shape) => [{ name: 'momentum_buffer', dtype: 'F32', shape, span: 1 }],
    updateParameter: elementwise(momentumKernel(momentum, nesterov)),
    tensors: momentumTensors(momentum, nesterov),
  });
}

/** Arrays `[b]`. The first step takes the gradient because b starts as zeros. */
export function momentumKernel(momentum: number, nesterov: boolean): ElementwiseKernel {
  return (values, gradient, arrays, { gradientScale, learningRate, weightDecay }) => {
    const buffer = arrays[0] as Float32Array;
    for (let i = 0; i < values.length; i += 1) {
      const g = Math.fround(gradient[i]! * gradientScale) + weightDecay * values[i]!;
      const b = momentum * buffer[i]! + g;
      buffer[i] = b;
      values[i] = values[i]! - learningRate * (nesterov ? g + momentum * b : b);
    }
  };
}

const plainTensors: TensorRule<'learningRate' | 'weightDecay'> = {
  coefficients: ({ learningRate, weightDecay }) => ({ learningRate, weightDecay }),
  update: (values, gradient, _slots, { learningRate, weightDecay }) => ({
    values: tf.sub(values, tf.mul(tf.add(gradient, tf.mul(values, weightDecay)), learningRate)),
    slots: [],
  }),
};

const momentumTensors = (
  momentum: number,
  nesterov: boolean,
): TensorRule<'learningRate' | 'weightDecay' | 'momentum'> => ({
  coefficients: ({ learningRate, weightDecay }) => ({ learningRate, weightDecay, momentum }),
  update(values, gradient, slots, numbers) {
    const [buffer] = slots as [Tensor1D];
    const g = tf.add<Tensor1D>(gradient, tf.mul(values, numbers.weightDecay));
    const b = tf.add<Tensor1D>(tf.mul(buffer, numbers.momentum), g);
    return {
      values: tf.sub(
        values,
        tf.mul(nesterov ? tf.add(g, tf.mul(b, numbers.momentum)) : b, numbers.learningRate),
      ),
      slots: [b],
    };
  },
});
