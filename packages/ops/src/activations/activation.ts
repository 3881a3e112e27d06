/**
 * Activation functions, element by element: y = f(x), dx = dy ⊙ f′(x). With σ the logistic function
 * and Φ, φ the normal distribution:
 *
 *   gelu         x·Φ(x)
 *   gelu_tanh    x·σ(2u), u = √(2/π)(x + 0.044715x³)
 *   gelu_quick   x·σ(1.702x)
 *   silu         x·σ(x)
 *   sigmoid      σ(x)
 *   tanh         tanh(x)
 *   relu         max(x,0)
 *   relu_squared max(x,0)²
 *   leaky_relu   x where x > 0, else x/100
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import type { ActivationName } from '../tape/kernels.js';

/** @param x any shape. @returns f(x), owned by the enclosing scope. */
export function activate<T extends Tensor = Tensor2D>(kind: ActivationName, x: T): T {
  return differentiable<'x', T>(
    { x },
    (save) => {
      save([x]);
      return runKernel('PeftActivation', { x }, { kind }, () => [referenceActivation(kind, x)])[0]!;
    },
    ({ dy, saved: [savedX] }) => ({ x: activationGradient(kind, savedX!, dy) }),
  );
}

/** dx = dy ⊙ f′(x), any shape. */
export function activationGradient(kind: ActivationName, x: Tensor, dy: Tensor): Tensor {
  return runKernel('PeftActivationGradient', { x, dy }, { kind }, () => [
    tf.mul(dy, referenceDerivative(kind, x)),
  ])[0]!;
}

// x + 0.044715x³
const cubic = (x: Tensor): Tensor => tf.mul(x, tf.add(tf.mul(tf.square(x), 0.044715), 1));
const twoU = (x: Tensor): Tensor => tf.mul(cubic(x), 2 * Math.sqrt(2 / Math.PI));
// Φ
const normalCdf = (x: Tensor): Tensor => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
const normalPdf = (x: Tensor): Tensor =>
  tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI)); // φ
const swish = (x: Tensor, slope: number): Tensor => tf.mul(x, tf.sigmoid(tf.mul(x, slope)));
/** d/dx x·σ(a(x)) = σ·(1 + x·a′(x)·(1 − σ)). */
const swishDerivative = (x: Tensor, a: Tensor, slope: Tensor | number): Tensor => {
  const s = tf.sigmoid(a);
  return tf.mul(s, tf.add(tf.mul(tf.mul(x, slope), tf.sub(1, s)), 1));
};

/** f(x) in tfjs ops. */
export function referenceActivation(kind: ActivationName, x: Tensor): Tensor {
  switch (kind) {
    case 'gelu':
      return tf.mul(x, normalCdf(x));
    case 'gelu_tanh':
      return tf.mul(x, tf.sigmoid(twoU(x)));
    case 'gelu_quick':
      return swish(x, 1.702);
    case 'silu':
      return swish(x, 1);
    case 'relu':
      return tf.relu(x);
    case 'relu_squared':
      return tf.square(tf.relu(x));
    case 'tanh':
      return tf.tanh(x);
    case 'sigmoid':
      return tf.sigmoid(x);
    case 'leaky_relu':
      return tf.leakyRelu(x, 0.01);
  }
}

/** f′(x) in tfjs ops. */
export function referenceDerivative(kind: ActivationName, x: Tensor): Tensor {
  switch (kind) {
    case 'gelu':
      return tf.add(normalCdf(x), tf.mul(x, normalPdf(x)));
    case 'gelu_tanh':
      return swishDerivative(
        x,
        twoU(x),
        tf.mul(tf.add(tf.mul(tf.square(x), 3 * 0.044715), 1), 2 * Math.sqrt(2 / Math.PI)),
      );
    case 'gelu_quick':
      return swishDerivative(x, tf.mul(x, 1.702), 1.702);
    case 'silu':
      return swishDerivative(x, x, 1);
    case 'relu':
      return tf.step(x);
    case 'relu_squared':
      return tf.mul(tf.relu(x), 2);
    case 'tanh':
      return tf.sub(1, tf.square(tf.tanh(x)));
    case 'sigmoid': {
      const s = tf.sigmoid(x);
      return tf.mul(s, tf.sub(1, s));
    }
    case 'leaky_relu':
      return tf.step(x, 0.01);
  }
}
