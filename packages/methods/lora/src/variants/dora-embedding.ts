/**
 * DoRA on an embedding: the length of each column of the table is learned apart from its direction,
 * with the norm kept out of the gradient, as PEFT has it (the paper has linear maps alone):
 *
 *   T = E + s·Aᵀ·Bᵀ, g = m ⊘ ‖T‖ (columns), y[n] = g ⊙ T[id]      m `[D]`, starting at ‖T‖
 *
 * ‖T_d‖² = ‖E_d‖² + 2s·Σ_r B[d,r]·(A·E)[r,d] + s²·Σ_rq B[d,r]·(A·Aᵀ)[r,q]·B[d,q]: each pass costs
 * one product A·E with the whole table.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { AttachContext, EmbeddingAttachment, SiteHandle } from '@peft/core';
import { differentiable, linear, scaleColumns } from '@peft/ops';
import { startValues } from './dora.js';
import { lowRankRows, lowRankTable } from './lora-embedding.js';
import type { LoraMatrices } from './lora-linear.js';

/** @returns the adapter of an embedding; makes `lora_magnitude_vector [D]`. */
export function doraEmbedding(
  site: SiteHandle<'embedding'>,
  matrices: LoraMatrices,
  context: AttachContext,
): EmbeddingAttachment {
  const withTable = <T>(use: (table: Tensor2D) => T): T => {
    const table = site.dequantizedWeight();
    try {
      return use(table);
    } finally {
      table.dispose();
    }
  };
  const squares = context.param(
    'column_squares',
    [site.size],
    () =>
      startValues(() =>
        withTable((table) => tf.tidy(() => tf.sum(tf.square(table), 0) as Tensor1D)),
      ),
    { trainable: false, saved: false },
  );
  /** ‖E + s·Aᵀ·Bᵀ‖ of each column `[D]`, off the tape. */
  const columnNorms = (): Tensor1D =>
    differentiable<never, Tensor1D>(
      {},
      () =>
        withTable((table) =>
          tf.tidy(() => {
            const { scaling: s } = matrices;
            const [a, b] = [matrices.a.value, matrices.b.value];
            const cross = tf.sum(tf.mul(b, tf.transpose(tf.matMul(a, table))), 1);
            const own = tf.sum(tf.mul(tf.matMul(b, linear(a, a)), b), 1);
            return tf.sqrt(
              tf.maximum(
                tf.addN([squares.value, tf.mul(cross, 2 * s), tf.mul(own, s * s)] as Tensor1D[]),
                0,
              ),
            );
          }),
        ),
      () => ({}),
    );
  const magnitude = context.param('lora_magnitude_vector', [site.size], () =>
    startValues(columnNorms),
  );
  return {
    forward: (ids, base) =>
      scaleColumns(
        tf.add(base(ids), lowRankRows(ids, matrices)),
        tf.div<Tensor1D>(magnitude.value, columnNorms()),
      ),
    merge(table) {
      const turned = tf.add<Tensor2D>(table, lowRankTable(matrices));
      return tf.mul(turned, tf.div(magnitude.value, tf.norm(turned, 2, 0)));
    },
    rescale: (factor) => void (matrices.scaling *= factor),
  };
}
