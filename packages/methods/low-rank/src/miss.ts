/**
 * MiSS: one small matrix D stands in every block of r columns of the update. Kang and Yin 2024,
 * "MiSS: Revisiting the Trade-off in LoRA with an Efficient Shard-Sharing Structure":
 *
 *   y = base(x) + S(x)·D,  S(x)_j = Σ_i x_(i·r+j)         x `[N, in]`, S(x) `[N, r]`, D `[r, out]`
 *
 * The features of x are summed in shards of r (the last filled up with zeros), so that Δ has the
 * block Dᵀ again and again. `mini` repeats D's `miniRank` columns, too. `bat` makes each block of Δ
 * depend on the weight: with W cut into blocks of r × r and a B per row of blocks, Δ_ij = W_ij·B_i + B_i.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type LinearSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { freezeTensor, linear } from '@peft/ops';

/** Options of MiSS. */
export interface MissConfig {
  /** r: columns that share a shard. Default 64. */
  readonly rank: number;
  /** Columns of D that are learned under `initWeights: 'mini'`; divides the outputs. Default 1. */
  readonly miniRank: number;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** The form, started at zero: true, `bat`, `mini`; `false`: the first, random. Default true. */
  readonly initWeights: boolean | 'bat' | 'mini';
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'MiSS_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    miss: MissConfig;
  }
}

/**
 * The MiSS method: `miss({ rank: 64 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const miss = definePeftMethod({
  name: 'miss',
  peftType: 'MISS',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + S(x)·D, S sums the shards of x',
  paper: {
    title: 'MiSS: Revisiting the Trade-off in LoRA with an Efficient Shard-Sharing Structure',
    url: 'https://arxiv.org/abs/2409.15371',
  },
  ...optionTable<MissConfig>('miss', {
    rank: { default: 64, is: 'positiveInteger', peft: 'r' },
    miniRank: { default: 1, is: 'positiveInteger', peft: 'mini_r' },
    dropout: { default: 0, is: 'probability', peft: 'miss_dropout' },
    initWeights: { default: true, is: [true, false, 'bat', 'mini'], peft: 'init_weights' },
    bias: { default: 'none', is: ['none', 'all', 'MiSS_only'], peft: 'bias' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      refuseUnfit(site, config);
      unfreezeBiases(config.bias, site, context);
      const { rank: r, initWeights: form } = config;
      const { inFeatures, outFeatures } = site;
      const start = form === false ? kaimingUniform : zeros;
      const shards = Math.ceil(inFeatures / r);
      if (form === 'bat') {
        const rows = outFeatures / r;
        const block = context.param('miss_block', [rows, r, r], start);
        const update = (weight: Tensor2D): Tensor2D => {
          const own = block.value;
          const products = tf.matMul(tf.reshape(weight, [rows, r * shards, r]) as Tensor3D, own);
          return tf.reshape(
            tf.add(tf.reshape(products, [rows, r, shards, r]), tf.expandDims(own, 2)),
            [outFeatures, inFeatures],
          );
        };
        return {
          forward: (x, base) =>
            tf.add(base(x), linear(x, update(freezeTensor(site.dequantizedWeight())))),
          merge: ({ weight, bias }) => ({ weight: tf.add(weight, update(weight)), bias }),
        };
      }
      const columns = form === 'mini' ? config.miniRank : outFeatures;
      const block = context.param('miss_block', [r, columns], start);
      const shard = (): Tensor2D => tf.tile(block.value, [1, outFeatures / columns]);
      return {
        forward(x, base, call) {
          const filled = tf.pad(call.dropout(x, config.dropout), [
            [0, 0],
            [0, shards * r - inFeatures],
          ]);
          const sums = tf.sum(tf.reshape(filled, [-1, shards, r]), 1) as Tensor2D; // [N, r]
          return tf.add(base(x), tf.matMul(sums, shard()));
        },
        merge: ({ weight, bias }) => ({
          weight: tf.add(
            weight,
            tf.slice(
              tf.tile(tf.transpose(shard()), [1, shards]),
              [0, 0],
              [outFeatures, inFeatures],
            ),
          ),
          bias,
        }),
      };
    },
  },
});

function refuseUnfit(
  { path, inFeatures, outFeatures }: LinearSite,
  { rank, miniRank, initWeights: form }: MissConfig,
): void {
  const isUnfit =
    rank > inFeatures ||
    (form === 'bat' && (inFeatures % rank !== 0 || outFeatures % rank !== 0)) ||
    (form === 'mini' && outFeatures % miniRank !== 0);
  if (isUnfit)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `miss: rank ${rank} and miniRank ${miniRank} do not fit ${path} of ${inFeatures} inputs and ` +
        `${outFeatures} outputs.`,
      {
        hint: 'rank is at most the inputs, for bat a divisor of both sides; miniRank divides the outputs',
      },
    );
}
