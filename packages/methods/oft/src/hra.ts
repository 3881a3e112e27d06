/**
 * HRA: what a layer reads is reflected at r learned planes. Yuan et al. 2024, "Bridging The Gap
 * between Low-rank and Orthogonal Adaptation via Householder Reflection Adaptation":
 *
 *   y = base(x·Hᵀ),  H = H_1·…·H_r,  H_i = I − 2·u_i·u_iᵀ/‖u_i‖²        u `[in, r]`, columns u_i
 *
 * The columns start in equal pairs, whose reflections cancel. With `orthogonal` they are made
 * orthonormal first (Gram and Schmidt), H = I − 2·Q·Qᵀ; that is never the identity, and equal columns
 * have no such basis, so that they start apart (PEFT 0.21 divides rounding errors by each other there).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  type Initializer,
} from '@peft/core';

/** Options of HRA. */
export interface HraConfig {
  /** r: reflections; even, for a start at the identity. Default 8. */
  readonly rank: number;
  /** Make the columns orthonormal. Default false. */
  readonly orthogonal: boolean;
  /** Start in equal pairs where r is even. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'hra_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    hra: HraConfig;
  }
}

/**
 * The HRA method: `hra({ rank: 8 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const hra = definePeftMethod({
  name: 'hra',
  peftType: 'HRA',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x·Hᵀ), H = Πᵢ (I − 2·uᵢ·uᵢᵀ/‖uᵢ‖²)',
  paper: {
    title:
      'Bridging The Gap between Low-rank and Orthogonal Adaptation via Householder Reflection Adaptation',
    url: 'https://arxiv.org/abs/2405.17484',
  },
  ...optionTable<HraConfig>('hra', {
    rank: { default: 8, is: 'positiveInteger', peft: 'r' },
    orthogonal: { default: false, is: 'boolean', peft: 'apply_GS' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    bias: { default: 'none', is: ['none', 'all', 'hra_only'], peft: 'bias' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, { rank, orthogonal, initWeights, bias: biases }, context) {
      unfreezeBiases(biases, site, context);
      const isPaired = initWeights && !orthogonal && rank % 2 === 0;
      const u = context.param('hra_u', [site.inFeatures, rank], isPaired ? pairs : kaimingUniform);
      const columns = (): Tensor2D[] =>
        columnsOf(u.value).map((column) => tf.div(column, tf.norm(column)));
      /** Rows times H, or times Hᵀ. */
      const reflect = (rows: Tensor2D, transposed: boolean): Tensor2D => {
        if (orthogonal) return reflectAt(rows, tf.concat(gramSchmidt(u.value), 1));
        const order = transposed ? columns().reverse() : columns();
        return order.reduce(reflectAt, rows);
      };
      return {
        forward: (x, base) => base(reflect(x, true)),
        merge: ({ weight, bias }) => ({ weight: reflect(weight, false), bias }),
      };
    },
  },
});

/** rows·(I − 2·Q·Qᵀ). */
const reflectAt = (rows: Tensor2D, q: Tensor2D): Tensor2D =>
  tf.sub(rows, tf.mul(tf.matMul(tf.matMul(rows, q), q, false, true), 2));

const columnsOf = (matrix: Tensor2D): Tensor2D[] =>
  matrix.shape[1] === 1 ? [matrix] : tf.split(matrix, matrix.shape[1], 1);

/** Orthonormal columns, each `[in, 1]`. */
function gramSchmidt(matrix: Tensor2D): Tensor2D[] {
  const basis: Tensor2D[] = [];
  for (const column of columnsOf(matrix)) {
    const rest = basis.reduce(
      (left, unit) => tf.sub<Tensor2D>(left, tf.mul(tf.matMul(unit, left, true), unit)),
      column,
    );
    basis.push(tf.div(rest, tf.norm(rest)));
  }
  return basis;
}

/** Each column twice. */
const pairs: Initializer = ([rows, columns], key) => {
  const half = kaimingUniform([rows!, columns! / 2], key);
  return Float32Array.from({ length: rows! * columns! }, (_, i) => half[Math.floor(i / 2)]!);
};
