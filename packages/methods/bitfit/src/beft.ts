/**
 * BEFT: a bias of its own is added to what a layer puts out, by default of the value projections
 * alone. "BEFT: Bias-Efficient Fine-Tuning of Language Models", arXiv 2509.15974:
 *
 *   y = base(x) + c                  c `[1, out]`, zero at the start
 *
 * Unlike BitFit, it does not need the layer to have a bias; it can only be merged into one that has.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D } from '@tensorflow/tfjs';
import { definePeftMethod, normal, optionTable, zeros } from '@peft/core';

/** Options of BEFT. */
export interface BeftConfig {
  /** Start at zero. `false`: N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    beft: BeftConfig;
  }
}

/**
 * The BEFT method: `beft()`. Merging is exact where the layers have biases.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const beft = definePeftMethod({
  name: 'beft',
  peftType: 'BEFT',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = base(x) + c',
  paper: {
    title: 'BEFT: Bias-Efficient Fine-Tuning of Language Models',
    url: 'https://arxiv.org/abs/2509.15974',
  },
  ...optionTable<BeftConfig>('beft', {
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
  }),
  defaultTargets: () => ({
    targets: {
      roles: ['attention.value', 'attention.query_key_value', 'cross.attention.value'],
    },
  }),

  attach: {
    linear(site, { initWeights }, context) {
      const { outFeatures } = site;
      const shift = context.param('beft_bias', [1, outFeatures], initWeights ? zeros : normal(1));
      return {
        forward: (x, base) => tf.add(base(x), shift.value),
        merge({ weight, bias }) {
          const own = tf.reshape(shift.value, [outFeatures]) as Tensor1D;
          return { weight, bias: bias ? tf.add(bias, own) : own };
        },
      };
    },
  },
});
