/**
 * BOFT: what a layer reads is rotated by a product of sparse orthogonal matrices, arranged as the
 * butterflies of a fast Fourier transform, and what it puts out is scaled. Liu et al. 2024,
 * "Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization":
 *
 *   y = s ⊙ W·(Rᵀ·x) + b,  R = B_m·…·B_1,  B_i = P_i·blockdiag(Cayley(Q_i1), …)·P_iᵀ
 *
 * The parameters are `boft_R [m, D, S, S]`, of which Q = (A − Aᵀ)/2 counts, and `boft_s [out, 1]`;
 * D·S = in. P_i gathers even and odd half blocks of 2^(i−1) blocks. One factor is OFT with a scale.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  LAYERED_KEYS,
  normal,
  ones,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type LinearSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { gatherRows, scaleColumns } from '@peft/ops';
import { cayleyExact } from './cayley.js';
import { leaveOut, rotate } from './rotate.js';

/** Options of BOFT. */
export interface BoftConfig {
  /** S: features of a block; 0 when `blocks` is given. Default 4. */
  readonly blockSize: number;
  /** D: blocks of a factor; 0 when `blockSize` is given. Default 0. */
  readonly blocks: number;
  /** m, as PEFT's config says it. Default 1. */
  readonly factors: number;
  /**
   * m, as the parameters have it, where that differs: PEFT makes one factor on a CPU, whatever is
   * asked. Default: `factors`.
   */
  readonly builtFactors: number | undefined;
  /** Share of the blocks that training leaves unrotated, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at the identity. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'boft_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    boft: BoftConfig;
  }
}

const table = optionTable<BoftConfig>(
  'boft',
  {
    blockSize: { default: 4, is: 'nonNegativeInteger', peft: 'boft_block_size' },
    blocks: { default: 0, is: 'nonNegativeInteger', peft: 'boft_block_num' },
    factors: { default: 1, is: 'positiveInteger', peft: 'boft_n_butterfly_factor' },
    builtFactors: { default: undefined, is: 'positiveInteger' },
    dropout: { default: 0, is: 'probability', peft: 'boft_dropout' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    bias: { default: 'none', is: ['none', 'all', 'boft_only'], peft: 'bias' },
  },
  {
    fanInFanOut: true,
    refuse({ blockSize, blocks }) {
      if ((blockSize === 0) === (blocks === 0))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `boft: exactly one of blockSize and blocks must be over 0, got ${blockSize} and ${blocks}.`,
          { hint: 'set the other to 0' },
        );
    },
  },
);

/**
 * The BOFT method: `boft({ blockSize: 4, factors: 2 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const boft = definePeftMethod({
  name: 'boft',
  peftType: 'BOFT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = s ⊙ W·(Rᵀ·x) + b, R = B_m·…·B_1 of rotated blocks',
  paper: {
    title: 'Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization',
    url: 'https://arxiv.org/abs/2311.06243',
  },
  ...table,
  fromPeftConfig(json, shapes) {
    const key = [...(shapes?.keys() ?? [])].find((each) => each.endsWith('.boft_R'));
    const config = table.fromPeftConfig(json);
    return key === undefined ? config : { ...config, builtFactors: shapes!.get(key)![0]! };
  },
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { count, size, factors } = layoutOf(site, config);
      const shape = [factors, count, size, size];
      const blocks = context.param('boft_R', shape, config.initWeights ? zeros : normal(0.1));
      const gain = context.param(
        'boft_s',
        [site.outFeatures, 1],
        config.initWeights ? ones : normal(0.1, 1),
      );
      const orders = Array.from({ length: factors }, (_, i) =>
        factors === 1 ? undefined : butterflyOrder(site.inFeatures, count / 2 ** i, size / 2),
      );
      /** Cayley's transforms `[D, S, S]` of each factor. */
      const rotations = (): Tensor3D[] => {
        const own = tf.reshape(blocks.value, [-1, size, size]) as Tensor3D;
        const skew = tf.mul<Tensor3D>(tf.sub(own, tf.transpose(own, [0, 2, 1])), 0.5);
        const whole = cayleyExact(skew);
        return factors === 1 ? [whole] : tf.split(whole, factors, 0);
      };
      const apply = (rows: Tensor2D, matrices: Tensor3D, i: number): Tensor2D =>
        permuted(rows, orders[i], (ordered) => rotate(ordered, matrices));
      return {
        forward(x, base, call) {
          const turned = rotations().reduceRight(
            (rows, matrices, i) =>
              apply(rows, leaveOut(matrices, config.dropout, call, 'block-dropout'), i),
            x,
          );
          const y = base(turned);
          const bias = site.biasInForce();
          const scale = tf.reshape(gain.value, [-1]) as Tensor1D;
          return bias ? tf.add(scaleColumns(tf.sub(y, bias), scale), bias) : scaleColumns(y, scale);
        },
        merge({ weight, bias }) {
          const turned = rotations().reduce(
            (rows, matrices, i) => apply(rows, tf.transpose(matrices, [0, 2, 1]), i),
            weight,
          );
          return { weight: tf.mul(turned, gain.value), bias };
        },
      };
    },
  },
});

/** D, S and m of a layer. */
function layoutOf(
  { path, inFeatures }: LinearSite,
  { blockSize, blocks, factors: asked, builtFactors }: BoftConfig,
): { readonly count: number; readonly size: number; readonly factors: number } {
  const size = blockSize || inFeatures / blocks;
  const count = inFeatures / size;
  const factors = builtFactors ?? asked;
  const isWhole = Number.isInteger(size) && Number.isInteger(count);
  if (!isWhole || (factors > 1 && (size % 2 !== 0 || count % 2 ** (factors - 1) !== 0)))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `boft: ${count} blocks of ${size} features do not fit the ${inFeatures} inputs of ${path} ` +
        `in ${factors} factors.`,
      {
        hint: 'with several factors, blocks are even and their number is a multiple of 2^(factors − 1)',
      },
    );
  return { count, size, factors };
}

/** In each of `blocks` runs, the half blocks of `half` features at even places, then the odd ones. */
function butterflyOrder(length: number, blocks: number, half: number): Int32Array {
  const run = length / blocks;
  const halves = run / half;
  const order = [...Array(halves).keys()].sort((a, b) => (a % 2) - (b % 2) || a - b);
  return Int32Array.from({ length }, (_, at) => {
    const inRun = at % run;
    return at - inRun + order[Math.floor(inRun / half)]! * half + (inRun % half);
  });
}

/** rows·P·(…)·Pᵀ with P[i, order_i] = 1: columns are sorted, worked on, and put back. */
function permuted(
  rows: Tensor2D,
  order: Int32Array | undefined,
  work: (rows: Tensor2D) => Tensor2D,
): Tensor2D {
  if (!order) return work(rows);
  const inverse = new Int32Array(order.length);
  order.forEach((from, to) => (inverse[from] = to));
  const columns = (matrix: Tensor2D, by: Int32Array): Tensor2D =>
    tf.transpose(gatherRows(tf.transpose(matrix), by));
  return columns(work(columns(rows, inverse)), order);
}
