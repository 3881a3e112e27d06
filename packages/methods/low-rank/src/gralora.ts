/**
 * GraLoRA: the weight is cut into k × k blocks, each with a low-rank update of its own. Jung et al.
 * 2025, "GraLoRA: Granular Low-Rank Adaptation for Parameter-Efficient Fine-Tuning":
 *
 *   Δ_ji = s·(A_i[:, j]·B_j[i])ᵀ,  A `[k, in/k, r]`, B `[k, r, out/k]`, s = α/(r + hybrid)
 *
 * A_i[:, j] are the j-th r/k columns of A_i, B_j[i] the i-th r/k rows of B_j: each block has rank
 * r/k, all together k·r. The hybrid adds a plain s·B·A of rank `hybridRank`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  uniform,
  zeros,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear } from '@peft/ops';

/** Options of GraLoRA. */
export interface GraloraConfig {
  /** r, a multiple of `blocks`. Default 32. */
  readonly rank: number;
  /** Rank of a plain low-rank path beside the blocks, 0 for none. Default 0. */
  readonly hybridRank: number;
  /** α: the update is scaled by α/(r + hybridRank). Default 64. */
  readonly alpha: number;
  /** Share of the inputs of the added paths that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** k: blocks along either side; divides inputs and outputs. Default 2. */
  readonly blocks: number;
  /** Start at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'gralora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    gralora: GraloraConfig;
  }
}

/**
 * The GraLoRA method: `gralora({ rank: 32, blocks: 2 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const gralora = definePeftMethod({
  name: 'gralora',
  peftType: 'GRALORA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + s·Δ·x, each of k × k blocks of Δ of rank r/k',
  paper: {
    title: 'GraLoRA: Granular Low-Rank Adaptation for Parameter-Efficient Fine-Tuning',
    url: 'https://arxiv.org/abs/2505.20355',
  },
  ...optionTable<GraloraConfig>(
    'gralora',
    {
      rank: { default: 32, is: 'positiveInteger', peft: 'r' },
      hybridRank: { default: 0, is: 'nonNegativeInteger', peft: 'hybrid_r' },
      alpha: { default: 64, is: 'positive', peft: 'alpha' },
      dropout: { default: 0, is: 'probability', peft: 'gralora_dropout' },
      blocks: { default: 2, is: 'positiveInteger', peft: 'gralora_k' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'gralora_only'], peft: 'bias' },
    },
    {
      fanInFanOut: true,
      refuse({ rank, blocks }) {
        if (rank % blocks !== 0)
          throw new PeftError(
            'PEFT_CONFIG_INVALID',
            `gralora: blocks must divide rank, got ${blocks} and ${rank}.`,
          );
      },
    },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { rank: r, blocks: k, hybridRank, initWeights } = config;
      const [inputs, outputs] = [site.inFeatures / k, site.outFeatures / k];
      if (!Number.isInteger(inputs) || !Number.isInteger(outputs))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `gralora: blocks must divide both sides of ${site.path} ` +
            `[${site.outFeatures}, ${site.inFeatures}], got ${k}.`,
        );
      const within = (fan: number) => uniform(-1 / Math.sqrt(fan), 1 / Math.sqrt(fan));
      const a = context.param('gralora_A', [k, inputs, r], within(inputs));
      const b = context.param('gralora_B', [k, r, outputs], initWeights ? zeros : within(r));
      const hybrid = hybridRank > 0 && {
        a: context.param('gralora_A_general.weight', [hybridRank, site.inFeatures], kaimingUniform),
        b: context.param(
          'gralora_B_general.weight',
          [site.outFeatures, hybridRank],
          initWeights ? zeros : kaimingUniform,
        ),
      };
      let scaling = config.alpha / (r + hybridRank);
      const blockwise = (x: Tensor2D): Tensor2D => {
        const parts = tf.transpose(tf.reshape(x, [-1, k, inputs]) as Tensor3D, [1, 0, 2]); // [i, N, in/k]
        const narrow = tf.matMul(parts, a.value); // [i, N, r]
        const turned = tf.reshape(
          tf.transpose(tf.reshape(narrow, [k, -1, k, r / k]), [2, 1, 0, 3]),
          [k, -1, r],
        ) as Tensor3D; // [j, N, r]
        const wide = tf.matMul(turned, b.value); // [j, N, out/k]
        return tf.reshape(tf.transpose(wide, [1, 0, 2]), [-1, site.outFeatures]);
      };
      return {
        forward(x, base, call) {
          const y = tf.add<Tensor2D>(
            base(x),
            tf.mul(blockwise(call.dropout(x, config.dropout)), scaling),
          );
          if (!hybrid) return y;
          const narrow = linear(call.dropout(x, config.dropout, 'hybrid-dropout'), hybrid.a.value);
          return tf.add(y, tf.mul(linear(narrow, hybrid.b.value), scaling));
        },
        merge({ weight, bias }) {
          const left = tf.transpose(tf.reshape(a.value, [k, inputs, k, r / k]), [2, 0, 1, 3]);
          const right = tf.reshape(b.value, [k, k, r / k, outputs]);
          const blocks = tf.transpose(tf.matMul(left, right), [0, 3, 1, 2]); // [j, out/k, i, in/k]
          const update = tf.reshape(blocks, [site.outFeatures, site.inFeatures]) as Tensor2D;
          const whole = hybrid ? tf.add(update, tf.matMul(hybrid.b.value, hybrid.a.value)) : update;
          return { weight: tf.add(weight, tf.mul(whole, scaling)), bias };
        },
        rescale: (factor) => void (scaling *= factor),
      };
    },
  },
});
