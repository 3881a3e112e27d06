/**
 * HiRA: the weight itself is multiplied, element by element, with a low-rank matrix, so that the
 * update has the weight's rank. Huang et al. 2025, "HiRA: Parameter-Efficient Hadamard High-Rank
 * Adaptation for Large Language Models":
 *
 *   y = base(x) + (W ⊙ B·A)·x                   W `[out, in]`, A `[r, in]`, B `[out, r]`
 *
 * On an embedding E `[V, D]`: y[n] = E[id] ⊙ (1 + (Aᵀ)[id]·Bᵀ), A `[r, V]`, B `[D, r]`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  normal,
  optionTable,
  queryValueTargets,
  zeros,
  type AttachContext,
  type ModulePattern,
  type MatrixParameter,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { freezeTensor, gatherRows, linear } from '@peft/ops';

/** Options of HiRA. */
export interface HiraConfig {
  /** r. Default 32. */
  readonly rank: number;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start of A: true (kaiming-uniform) or `gaussian` (N(0, 1/r²)), B at zero; `false`: random. */
  readonly initWeights: boolean | 'gaussian';
  /**
   * Kept for files: PEFT 0.21 writes it and makes every module of rank r all the same, and so that
   * it can read ours, so do we. Only `{}` can be asked for.
   */
  readonly rankPattern: ModulePattern;
}

declare module '@peft/core' {
  interface PeftConfigs {
    hira: HiraConfig;
  }
}

/**
 * The HiRA method: `hira({ rank: 32 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const hira = definePeftMethod({
  name: 'hira',
  peftType: 'HIRA',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + (W ⊙ B·A)·x',
  paper: {
    title: 'HiRA: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models',
    url: 'https://openreview.net/forum?id=TwJrTz9cRS',
  },
  ...optionTable<HiraConfig>(
    'hira',
    {
      rank: { default: 32, is: 'positiveInteger', peft: 'r' },
      dropout: { default: 0, is: 'probability', peft: 'hira_dropout' },
      initWeights: { default: true, is: [true, false, 'gaussian'], peft: 'init_weights' },
      rankPattern: { default: {}, is: 'integersByModule', peft: 'rank_pattern' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      refusePattern(config, context);
      const { rank } = config;
      const first = { true: kaimingUniform, false: normal(1), gaussian: normal(1 / rank) };
      const a = context.param('hira_A', [rank, site.inFeatures], first[`${config.initWeights}`]);
      const second = config.initWeights === false ? normal(1) : zeros;
      const b = context.param('hira_B', [site.outFeatures, rank], second);
      return {
        forward(x, base, call) {
          const update = tf.mul<Tensor2D>(freezeTensor(site.dequantizedWeight()), product(b, a));
          return tf.add(base(x), linear(call.dropout(x, config.dropout), update));
        },
        merge: ({ weight, bias }) => ({ weight: tf.mul(weight, tf.add(product(b, a), 1)), bias }),
      };
    },

    embedding(site, config, context) {
      refusePattern(config, context);
      const { rank } = config;
      const first = config.initWeights === false ? normal(1) : zeros;
      const a = context.param('hira_embedding_A', [rank, site.rows], first);
      const b = context.param('hira_embedding_B', [site.size, rank], normal(1));
      return {
        forward(ids, base) {
          const narrow = gatherRows(tf.transpose(a.value), ids); // [N, r]
          const rows = freezeTensor(site.baseRows(ids));
          return tf.add(base(ids), tf.mul(rows, linear(narrow, b.value)));
        },
        merge: (table) => tf.mul(table, tf.add(tf.transpose(product(b, a)), 1)),
      };
    },
  },
});

function refusePattern({ rankPattern }: HiraConfig, { isStrict }: AttachContext): void {
  if (isStrict && Object.keys(rankPattern).length > 0)
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      'hira: rankPattern has no effect: PEFT 0.21 makes every module of the same rank.',
      { hint: 'leave it out' },
    );
}

const product = (b: MatrixParameter, a: MatrixParameter): Tensor2D => tf.matMul(b.value, a.value);
