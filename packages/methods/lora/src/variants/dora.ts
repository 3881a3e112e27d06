/**
 * DoRA: the length of each row of the weight is learned apart from its direction. Liu et al. 2024,
 * "DoRA: Weight-Decomposed Low-Rank Adaptation", eq. 5, with the norm kept out of the gradient
 * (section 4.3):
 *
 *   V = W + s·B·A, g = m ⊘ ‖V‖ (rows), y = b + g ⊙ (x·Vᵀ)      m `[out]`, starting at ‖V‖
 *
 * The row norms come from ‖V_o‖² = ‖W_o‖² + 2s·B_o·(A·W_oᵀ) + s²·B_o·(A·Aᵀ)·B_oᵀ, so that W stays
 * in the engine's hands: the product A·Wᵀ costs as much as r more tokens.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { type AttachContext, type LinearAttachment, type SiteHandle } from '@peft/core';
import { differentiable, linear, scaleColumns } from '@peft/ops';
import { lowRank, type LoraMatrices } from './lora-linear.js';

/** @returns the adapter of a linear site; makes `lora_magnitude_vector [out]`. */
export function doraLinear(
  site: SiteHandle<'linear'>,
  matrices: LoraMatrices,
  dropout: number,
  context: AttachContext,
): LinearAttachment {
  const squares = context.param(
    'row_squares',
    [site.outFeatures],
    () =>
      startValues(() =>
        tf.tidy(() => {
          const weight = site.dequantizedWeight();
          const sums = tf.sum(tf.square(weight), 1);
          weight.dispose();
          return sums as Tensor1D;
        }),
      ),
    { trainable: false, saved: false },
  );
  /** ‖W + s·B·A‖ of each row `[out]`, off the tape. */
  const rowNorms = (): Tensor1D =>
    differentiable<never, Tensor1D>(
      {},
      () =>
        tf.tidy(() => {
          const { scaling: s } = matrices;
          const a = matrices.a.value;
          const b = matrices.b.value;
          // Σ_r B[o,r]·(A·Wᵀ)[r,o]
          const cross = tf.sum(tf.mul(b, tf.transpose(site.product(a))), 1);
          const own = tf.sum(tf.mul(tf.matMul(b, linear(a, a)), b), 1); // B_o·(A·Aᵀ)·B_oᵀ
          return tf.sqrt(
            tf.maximum(
              tf.addN([squares.value, tf.mul(cross, 2 * s), tf.mul(own, s * s)] as Tensor1D[]),
              0,
            ),
          );
        }),
      () => ({}),
    );
  const magnitude = context.param('lora_magnitude_vector', [site.outFeatures], () =>
    startValues(rowNorms),
  );
  return {
    forward(x, base, call) {
      const gain = tf.div<Tensor1D>(magnitude.value, rowNorms());
      const dropped = call.dropout(x, dropout);
      if (dropped !== x) {
        // The dropped input goes through both paths, as in PEFT.
        const added = tf.add<Tensor2D>(site.product(dropped), lowRank(dropped, matrices));
        return tf.add(base(x), tf.sub(scaleColumns(added, gain), site.product(dropped)));
      }
      const bias = site.biasInForce();
      const y = base(x);
      const turned = scaleColumns(
        tf.add(bias ? tf.sub<Tensor2D>(y, bias) : y, lowRank(x, matrices)),
        gain,
      );
      return bias ? tf.add(turned, bias) : turned;
    },
    merge({ weight, bias }) {
      const turned = tf.add<Tensor2D>(
        weight,
        tf.mul(tf.matMul(matrices.b.value, matrices.a.value), matrices.scaling),
      );
      const gain = tf.div(magnitude.value, tf.norm(turned, 2, 1)); // [out]
      return { weight: tf.mul(turned, tf.reshape(gain, [-1, 1])), bias };
    },
    rescale: (factor) => void (matrices.scaling *= factor),
  };
}

/** A start value is read once, while attaching. */
export function startValues(make: () => Tensor1D): Float32Array {
  const tensor = make();
  const values = Float32Array.from(tensor.dataSync());
  tensor.dispose();
  return values;
}
