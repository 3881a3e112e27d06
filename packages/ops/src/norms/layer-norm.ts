/**
 * Layer normalisation (Ba et al. 2016): y = x̂ ⊙ γ + β with x̂ = (x − μ)/√(σ² + ε), mean and
 * variance over the D of each row.
 *
 * Gradient, with g = dy ⊙ γ and s = 1/√(σ² + ε): dx = s·(g − mean(g) − x̂·mean(g ⊙ x̂)), dγ = Σ_n
 * dy ⊙ x̂, dβ = Σ_n dy.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { sumRows } from '../rows/sum-rows.js';

/**
 * @param x `[N, D]`. @param gamma `[D]`. @param beta `[D]`, or undefined for a norm without bias.
 * @param options.gammaOffset added to γ (Nemotron stores γ − 1); default 0.
 * @returns `[N, D]`, owned by the enclosing scope.
 */
export function layerNorm(
  x: Tensor2D,
  gamma: Tensor1D,
  beta: Tensor1D | undefined,
  epsilon: number,
  { gammaOffset = 0 }: { gammaOffset?: number } = {},
): Tensor2D {
  if (gammaOffset !== 0) return layerNorm(x, shifted(gamma, gammaOffset), beta, epsilon);
  return differentiable<'x' | 'gamma' | 'beta', Tensor2D>(
    { x, gamma, beta },
    (save, needs) => {
      const [y, mean, inverseStd] = runKernel(
        'PeftLayerNorm',
        { x, gamma, beta },
        { epsilon },
        () => referenceLayerNorm(x, gamma, beta, epsilon),
      );
      if (needs.x || needs.gamma) save([x, gamma, mean!, inverseStd!]);
      return y!;
    },
    ({ dy, saved, needs }) => {
      if (!needs.x && !needs.gamma) return { beta: sumRows(dy) };
      const [savedX, savedGamma, mean, inverseStd] = saved as [Tensor, Tensor, Tensor, Tensor];
      const attributes = { needX: needs.x, needGamma: needs.gamma, needBeta: needs.beta };
      const [dx, dgamma, dbeta] = runKernel(
        'PeftLayerNormGradient',
        { x: savedX, gamma: savedGamma, mean, inverseStd, dy },
        attributes,
        () => referenceLayerNormGradient(savedX, savedGamma, mean, inverseStd, dy, attributes),
      );
      return {
        x: needs.x ? dx! : undefined,
        gamma: needs.gamma ? dgamma! : undefined,
        beta: needs.beta ? dbeta! : undefined,
      };
    },
  );
}

/** γ + offset, frozen where γ is. */
function shifted(gamma: Tensor1D, offset: number): Tensor1D {
  const sum = tf.add<Tensor1D>(gamma, offset);
  return isFrozenTensor(gamma) ? freezeTensor(sum) : sum;
}

function referenceLayerNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor | undefined,
  epsilon: number,
): Tensor[] {
  const mean = tf.mean(x, 1, true); // [N, 1]
  const centred = tf.sub(x, mean);
  const inverseStd = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), epsilon)); // [N, 1]
  const scaled = tf.mul(tf.mul(centred, inverseStd), gamma);
  return [beta ? tf.add(scaled, beta) : scaled, tf.squeeze(mean, [1]), tf.squeeze(inverseStd, [1])];
}

function referenceLayerNormGradient(
  x: Tensor,
  gamma: Tensor,
  mean: Tensor,
  inverseStd: Tensor,
  dy: Tensor,
  need: { needX: boolean; needGamma: boolean; needBeta: boolean },
): Tensor[] {
  const s = tf.expandDims(inverseStd, 1); // [N, 1]
  const normalised = tf.mul(tf.sub(x, tf.expandDims(mean, 1)), s); // x̂
  const empty = () => tf.zeros([0]);
  const dx = () => {
    const g = tf.mul(dy, gamma);
    return tf.mul(
      s,
      tf.sub(
        tf.sub(g, tf.mean(g, 1, true)),
        tf.mul(normalised, tf.mean(tf.mul(g, normalised), 1, true)),
      ),
    );
  };
  return [
    need.needX ? dx() : empty(),
    need.needGamma ? sumRows(tf.mul(dy, normalised)) : empty(),
    need.needBeta ? sumRows(dy) : empty(),
  ];
}
