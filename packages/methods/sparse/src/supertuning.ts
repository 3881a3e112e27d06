/**
 * Super-Tuning: the largest weights of a layer are trained where they stand; Supra adds LoRA beside
 * them ("Super-Tuning", arXiv 2607.09287, as PEFT 0.21 has it):
 *
 *   y = base(x) + Δ·x + α/r·B·(A·x),  Δ zero but at the n weights of largest absolute value
 *
 * n = ⌊in·out·(1 − sparsity)⌋; values `[n]`, places `[n]` as flat indices, in the file unless
 * `saveIndices` is off: then they are found again in the base weight.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  normal,
  optionTable,
  queryValueTargets,
  zeros,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear } from '@peft/ops';
import { sparseMatrix } from './sparse-matrix.js';

/** Options of Super-Tuning. */
export interface SupertuningConfig {
  /** Share of the weights that stays as it is, in [0, 1). Default 0.99. */
  readonly sparsity: number;
  /** Train the largest; `false`: the smallest. Default true. */
  readonly largest: boolean;
  /** r of LoRA beside it. Default: none. */
  readonly rank: number | undefined;
  /** α. Default 2·r. */
  readonly alpha: number | undefined;
  /** Share of LoRA's inputs that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Write the places into the file. Default true. */
  readonly saveIndices: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    supertuning: SupertuningConfig;
  }
}

const table = optionTable<SupertuningConfig>(
  'supertuning',
  {
    sparsity: { default: 0.99, is: 'probability', peft: 'sparsity' },
    largest: { default: true, is: 'boolean', peft: 'select_top' },
    rank: { default: undefined, is: 'positiveInteger', peft: 'r' },
    alpha: { default: undefined, is: 'positive', peft: 'lora_alpha' },
    dropout: { default: 0, is: 'probability', peft: 'lora_dropout' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    saveIndices: { default: true, is: 'boolean', peft: 'save_precomputed_indices' },
  },
  {
    refuse({ rank, alpha }) {
      if (alpha !== undefined && rank === undefined)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `supertuning: alpha goes with rank, got ${alpha} without one.`,
        );
    },
  },
);

/**
 * The Super-Tuning method: `supertuning({ sparsity: 0.99 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const supertuning = definePeftMethod({
  name: 'supertuning',
  peftType: 'SUPERTUNING',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = base(x) + Δ·x (+ α/r·B·A·x), Δ at the largest weights',
  paper: { title: 'Super-Tuning', url: 'https://arxiv.org/abs/2607.09287' },
  ...table,
  parseConfig: ({ alpha, ...input }) =>
    table.parseConfig({ ...input, alpha: alpha ?? (input.rank && 2 * input.rank) }),
  defaultTargets: queryValueTargets,
  computesFromBase: ({ saveIndices }) => !saveIndices,

  attach: {
    linear(site, config, context) {
      const { inFeatures, outFeatures } = site;
      const count = Math.trunc(inFeatures * outFeatures * (1 - config.sparsity));
      if (count < 1)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `supertuning: sparsity ${config.sparsity} leaves none of the ${inFeatures * outFeatures} weights of ${site.path}.`,
          { hint: 'lower it' },
        );
      const first = config.initWeights ? zeros : normal(1);
      const values = context.param('supertuning_values', [count], first);
      const places = context.param(
        'supertuning_indices',
        [count],
        () => {
          const weight = site.dequantizedWeight();
          const sizes = Float32Array.from(weight.dataSync(), Math.abs);
          weight.dispose();
          return extremes(sizes, count, config.largest);
        },
        {
          trainable: false,
          saved: config.saveIndices,
          storedAs: 'I32',
          below: inFeatures * outFeatures,
        },
      );
      const { rank } = config;
      const path =
        rank === undefined
          ? undefined
          : {
              a: context.param('supertuning_lora_A.weight', [rank, inFeatures], kaimingUniform),
              b: context.param(
                'supertuning_lora_B.weight',
                [outFeatures, rank],
                config.initWeights ? zeros : kaimingUniform,
              ),
              scaling: config.alpha! / rank,
            };
      const update = (): Tensor2D =>
        sparseMatrix(values.value, places.value, [outFeatures, inFeatures]);
      return {
        forward(x, base, call) {
          const y = tf.add<Tensor2D>(base(x), linear(x, update()));
          if (!path) return y;
          const narrow = linear(call.dropout(x, config.dropout), path.a.value);
          return tf.add(y, linear(tf.mul(narrow, path.scaling), path.b.value));
        },
        merge({ weight, bias }) {
          const sparse = tf.add<Tensor2D>(weight, update());
          if (!path) return { weight: sparse, bias };
          const product = tf.matMul(path.b.value, path.a.value);
          return { weight: tf.add(sparse, tf.mul(product, path.scaling)), bias };
        },
      };
    },
  },
});

/** Indices of the largest or smallest values, the most extreme first. */
function extremes(values: Float32Array, count: number, largest: boolean): Int32Array {
  const order = Uint32Array.from(values, (_, i) => i);
  order.sort((a, b) => (largest ? values[b]! - values[a]! : values[a]! - values[b]!));
  return Int32Array.from(order.subarray(0, count));
}
