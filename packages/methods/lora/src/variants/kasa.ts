/**
 * KaSA: the base weight gives up its r smallest singular directions, and the update has the form of
 * singular values. Wang et al. 2025, "KaSA: Knowledge-Aware Singular-Value Adaptation of Large
 * Language Models", eq. 5–11:
 *
 *   y = base(x) + s·B·(σ ⊙ A·x),  W ← W − Σ_{k > K−r} σ_k·u_k·v_kᵀ                 σ `[r]`
 *   loss + β·‖σ‖² + γ·(‖Bᵀ·B − I‖_F + ‖A·Aᵀ − I‖_F), summed over the layers
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { normal, type AttachContext, type LinearAttachment, type SiteHandle } from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear, rowsOf, truncatedSvd } from '@peft/ops';
import type { LoraMatrices } from './lora-linear.js';
import type { KasaTerms } from './variant-options.js';

/** Takes the smallest directions out of the base weight, while the adapter exists. */
export function truncateBase(
  site: SiteHandle<'linear'>,
  rank: number,
  context: AttachContext,
): void {
  const all = Math.min(site.inFeatures, site.outFeatures);
  if (rank >= all)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: kasa takes ${rank} directions out of ${site.path}, which has ${all}.`,
      { hint: 'lower the rank' },
    );
  context.replaceWeight((weight) => {
    const [rows, columns] = weight.shape;
    const svd = truncatedSvd(rowsOf(weight.dataSync(), rows, columns), all); // once, while attaching
    const dropped = new Float64Array(rows * columns);
    for (let k = all - rank; k < all; k += 1)
      svd.left[k]!.forEach((u, i) =>
        svd.right[k]!.forEach((v, j) => (dropped[i * columns + j]! += svd.values[k]! * u * v)),
      );
    return tf.sub(weight, tf.tensor2d(Float32Array.from(dropped), [rows, columns]));
  });
}

/** @returns the adapter of a linear site; makes `lora_diag [r]`. */
export function kasaLinear(
  matrices: LoraMatrices,
  dropout: number,
  { beta, gamma }: KasaTerms,
  context: AttachContext,
): LinearAttachment {
  const { a, b } = matrices;
  const diagonal = context.param('lora_diag', [a.shape[0]!], normal(1));
  /** ‖M·Mᵀ − I‖_F. */
  const skewness = (product: Tensor2D) => tf.norm(tf.sub(product, tf.eye(product.shape[0])));
  if (beta > 0 || gamma > 0)
    context.extraLoss(() =>
      tf.add(
        tf.mul(tf.sum(tf.square(diagonal.value)), beta),
        tf.mul(
          tf.add(
            skewness(tf.matMul(b.value, b.value, true, false)),
            skewness(tf.matMul(a.value, a.value, false, true)),
          ),
          gamma,
        ),
      ),
    );
  return {
    forward(x, base, call) {
      const narrow = linear(call.dropout(x, dropout), a.value); // [N, r]
      const scaled = tf.mul<Tensor2D>(tf.mul(narrow, diagonal.value), matrices.scaling);
      return tf.add(base(x), linear(scaled, b.value));
    },
    merge({ weight, bias }) {
      const update = tf.matMul(tf.mul<Tensor2D>(b.value, diagonal.value), a.value);
      return { weight: tf.add(weight, tf.mul(update, matrices.scaling)), bias };
    },
    rescale: (factor) => void (matrices.scaling *= factor),
  };
}
