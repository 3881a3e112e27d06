/**
 * σ of PEANuT: what `activationNamed` of `@peft/ops` knows, and those of transformers' `ACT2FN` that
 * no supported model uses, made of other operations.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { activate, activationNamed, clip } from '@peft/ops';

type Sigma = (x: Tensor2D) => Tensor2D;

/** Mean and deviation of Laplace's activation (Ma et al. 2022, "Mega", equation 12). */
const [LAPLACE_MEAN, LAPLACE_DEVIATION] = [0.707107, 0.282095];

const COMPOSED: Readonly<Record<string, Sigma>> = Object.freeze<Record<string, Sigma>>({
  linear: (x) => x,
  relu6: (x) => clip(x, 6, 0),
  gelu_10: (x) => clip(activate('gelu', x), 10),
  mish: (x) => tf.mul(x, tf.tanh(tf.softplus(x))),
  laplace: (x) =>
    tf.mul(0.5, tf.add(1, tf.erf(tf.div(tf.sub(x, LAPLACE_MEAN), LAPLACE_DEVIATION * Math.SQRT2)))),
});

/** @throws PEFT_ACTIVATION_UNKNOWN */
export function sigmaNamed(name: string): Sigma {
  if (Object.hasOwn(COMPOSED, name)) return COMPOSED[name]!;
  const known = activationNamed(name);
  return (x) => activate(known, x);
}
