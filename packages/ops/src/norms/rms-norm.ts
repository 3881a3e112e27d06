/**
 * Root-mean-square normalisation (Zhang and Sennrich 2019): y = x̂ ⊙ (γ + offset) with x̂ =
 * x/√(mean(x²) + ε), the mean over the D of each row. Gemma stores γ − 1: its offset is 1.
 *
 * Gradient, with g = dy ⊙ (γ + offset) and s = 1/√(mean(x²) + ε): dx = s·(g − x̂·mean(g ⊙ x̂)), dγ
 * = Σ_n dy ⊙ x̂.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import { sumRows } from '../rows/sum-rows.js';

/**
 * @param x `[N, D]`. @param gamma `[D]`. @param options.gammaOffset added to γ; default 0.
 * @returns `[N, D]`, owned by the enclosing scope.
 */
export function rmsNorm(
  x: Tensor2D,
  gamma: Tensor1D,
  epsilon: number,
  { gammaOffset = 0 }: { gammaOffset?: number } = {},
): Tensor2D {
  return differentiable<'x' | 'gamma', Tensor2D>(
    { x, gamma },
    (save) => {
      const [y, inverseRms] = runKernel('PeftRmsNorm', { x, gamma }, { epsilon, gammaOffset }, () =>
        referenceRmsNorm(x, gamma, epsilon, gammaOffset),
      );
      save([x, gamma, inverseRms!]);
      return y!;
    },
    ({ dy, saved, needs }) => {
      const [savedX, savedGamma, inverseRms] = saved as [Tensor, Tensor, Tensor];
      const attributes = { gammaOffset, needX: needs.x, needGamma: needs.gamma };
      const [dx, dgamma] = runKernel(
        'PeftRmsNormGradient',
        { x: savedX, gamma: savedGamma, inverseRms, dy },
        attributes,
        () => referenceRmsNormGradient(savedX, savedGamma, inverseRms, dy, attributes),
      );
      return { x: needs.x ? dx! : undefined, gamma: needs.gamma ? dgamma! : undefined };
    },
  );
}

function referenceRmsNorm(
  x: Tensor,
  gamma: Tensor,
  epsilon: number,
  gammaOffset: number,
): Tensor[] {
  const inverseRms = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), epsilon)); // [N, 1]
  return [
    tf.mul(tf.mul(x, inverseRms), withOffset(gamma, gammaOffset)),
    tf.squeeze(inverseRms, [1]),
  ];
}

function referenceRmsNormGradient(
  x: Tensor,
  gamma: Tensor,
  inverseRms: Tensor,
  dy: Tensor,
  need: { gammaOffset: number; needX: boolean; needGamma: boolean },
): Tensor[] {
  const s = tf.expandDims(inverseRms, 1); // [N, 1]
  const normalised = tf.mul(x, s); // x̂
  const dx = () => {
    const g = tf.mul(dy, withOffset(gamma, need.gammaOffset));
    return tf.mul(s, tf.sub(g, tf.mul(normalised, tf.mean(tf.mul(g, normalised), 1, true))));
  };
  return [
    need.needX ? dx() : tf.zeros([0]),
    need.needGamma ? sumRows(tf.mul(dy, normalised)) : tf.zeros([0]),
  ];
}

const withOffset = (gamma: Tensor, offset: number): Tensor =>
  offset === 0 ? gamma : tf.add(gamma, offset);
