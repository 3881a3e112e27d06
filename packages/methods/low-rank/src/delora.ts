/**
 * DeLoRA: the strength of a low-rank update is learned apart from its directions, which have unit
 * length. Bini et al. 2025, "DeLoRA: Decoupling Angles and Strength in Low-rank Adaptation":
 *
 *   y = base(x) + B·diag(λ/(r·‖a_i‖·‖b_i‖))·A·(w ⊙ x)
 *
 * A `[r, in]` has the rows a_i, B `[out, r]` the columns b_i, λ `[1]`; w `[in]` are the lengths of
 * the base weight's columns, kept in the file. Lengths below 10⁻⁴ count as that.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  constant,
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  optionTable,
  queryValueTargets,
  refuseUnmatchedPatterns,
  unfreezeBiases,
  valueAt,
  zeros,
  type ModulePattern,
} from '@peft/core';
import { linear, scaleColumns } from '@peft/ops';

/** Options of DeLoRA. */
export interface DeloraConfig {
  /** r. Default 8. */
  readonly rank: number;
  /** λ at the start: bounds the length of the update. Default 15. */
  readonly lambda: number;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Ranks of single modules. */
  readonly rankPattern: ModulePattern;
  /** λ of single modules. */
  readonly lambdaPattern: ModulePattern;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'delora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    delora: DeloraConfig;
  }
}

/**
 * The DeLoRA method: `delora({ rank: 8, lambda: 15 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const delora = definePeftMethod({
  name: 'delora',
  peftType: 'DELORA',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + B·diag(λ/(r·‖aᵢ‖·‖bᵢ‖))·A·(w ⊙ x)',
  paper: {
    title: 'DeLoRA: Decoupling Angles and Strength in Low-rank Adaptation',
    url: 'https://arxiv.org/abs/2503.18225',
  },
  ...optionTable<DeloraConfig>('delora', {
    rank: { default: 8, is: 'positiveInteger', peft: 'r' },
    lambda: { default: 15, is: 'positive', peft: 'delora_lambda' },
    dropout: { default: 0, is: 'probability', peft: 'module_dropout' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    rankPattern: { default: {}, is: 'integersByModule', peft: 'rank_pattern' },
    lambdaPattern: { default: {}, is: 'numbersByModule', peft: 'lambda_pattern' },
    bias: { default: 'none', is: ['none', 'all', 'delora_only'], peft: 'bias' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      const { rankPattern, lambdaPattern } = config;
      refuseUnmatchedPatterns('delora', { rankPattern, lambdaPattern }, context);
      unfreezeBiases(config.bias, site, context);
      const rank = valueAt(site.path, rankPattern) ?? config.rank;
      const a = context.param('delora_A', [rank, site.inFeatures], kaimingUniform);
      const start = config.initWeights ? zeros : kaimingUniform;
      const b = context.param('delora_B', [site.outFeatures, rank], start);
      const lambda = context.param(
        'delora_lambda',
        [1],
        constant(valueAt(site.path, lambdaPattern) ?? config.lambda),
      );
      const lengths = context.param(
        'delora_w_norm',
        [site.inFeatures],
        () => tf.tidy(() => tf.norm(site.dequantizedWeight(), 2, 0).dataSync<'float32'>().slice()),
        { trainable: false },
      );
      /** λ/(r·‖a_i‖·‖b_i‖) `[r]`. */
      const strengths = (): Tensor1D =>
        tf.div(tf.div(lambda.value, rank), tf.mul(lengthsOf(a.value, 1), lengthsOf(b.value, 0)));
      return {
        forward(x, base, call) {
          const scaled = scaleColumns(call.dropout(x, config.dropout), lengths.value);
          const narrow = tf.mul<Tensor2D>(linear(scaled, a.value), strengths()); // [N, r]
          return tf.add(base(x), linear(narrow, b.value));
        },
        merge({ weight, bias }) {
          const left = tf.mul<Tensor2D>(b.value, strengths());
          const update = tf.matMul(left, a.value);
          return { weight: tf.add(weight, tf.mul(update, lengths.value)), bias };
        },
      };
    },
  },
});

/** Lengths along an axis, at least 10⁻⁴; no gradient below that. */
const lengthsOf = (matrix: Tensor2D, axis: number): Tensor1D =>
  tf.sqrt(tf.maximum(tf.sum(tf.square(matrix), axis), 1e-8));
