/**
 * tfjs writes MultiHeadAttention in `einsum`, which has no gradient there: the same in products
 * that have one.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import type { TfLayer } from './layer-shape.js';

interface Attention extends TfLayer {
  readonly keyDim: number;
  readonly attentionAxes: readonly number[];
  readonly dropoutLayer: { apply(x: Tensor, kwargs: object): Tensor };
  maskedSoftmax(scores: Tensor, mask?: Tensor): Tensor;
  computeAttention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask?: Tensor,
    training?: boolean,
  ): [Tensor, Tensor];
}

/**
 * Replaces how an attention over one axis combines its projections, softmax((q/√E)·kᵀ)·v; another
 * kind is left as it is.
 * @returns what undoes it.
 */
export function makeDifferentiable(layer: TfLayer): () => void {
  const attention = layer as Attention;
  const original = attention.computeAttention.bind(attention);
  // [B, T, H, E] ↔ [B, H, T, E]
  const byHeads = (x: Tensor): Tensor4D => tf.transpose(x as Tensor4D, [0, 2, 1, 3]);
  const computeAttention: Attention['computeAttention'] = (query, key, value, mask, training) => {
    if (query.rank !== 4 || attention.attentionAxes.join() !== '1')
      return original(query, key, value, mask, training);
    return tf.tidy((): [Tensor, Tensor] => {
      const scores = tf.matMul(
        byHeads(tf.mul(query, 1 / Math.sqrt(attention.keyDim))),
        byHeads(key),
        false,
        true,
      ); // [B, H, T, S]
      const shares = attention.maskedSoftmax(scores, mask);
      return [
        byHeads(tf.matMul(attention.dropoutLayer.apply(shares, { training }), byHeads(value))),
        shares,
      ];
    });
  };
  Object.assign(attention, { computeAttention });
  return () => void delete (attention as { computeAttention?: unknown }).computeAttention;
}
