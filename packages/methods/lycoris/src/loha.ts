/**
 * LoHa: the update is the element-wise product of two low-rank matrices, so that its rank can reach
 * r². Hyeon-Woo et al. 2022, "FedPara: Low-Rank Hadamard Product", eq. 2; Yeh et al. 2024, LyCORIS:
 *
 *   y = base(x) + s·x·((A₁·B₁) ⊙ (A₂·B₂))ᵀ       A `[out, r]`, B `[r, in]`, s = α/r
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { definePeftMethod, normal, queryValueTargets, zeros } from '@peft/core';
import { check } from '@peft/errors';
import { linear } from '@peft/ops';
import {
  dropUpdate,
  fromPeftLycorisConfig,
  LYCORIS_COMMON_KEYS,
  LYCORIS_KEYS,
  parseLycorisConfig,
  refuseUnmatched,
  strengthOf,
  toPeftLycorisConfig,
  type LycorisConfig,
} from './lycoris-config.js';

/** Options of LoHa. */
export type LohaConfig = LycorisConfig;

declare module '@peft/core' {
  interface PeftConfigs {
    loha: LohaConfig;
  }
}

/**
 * The LoHa method: `loha({ rank: 8, alpha: 8, targets: ['query', 'value'] })`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const loha = definePeftMethod({
  name: 'loha',
  formula: 'y = base(x) + s·((A₁·B₁) ⊙ (A₂·B₂))·x',
  peftType: 'LOHA',
  peftCommonKeys: LYCORIS_COMMON_KEYS,
  paper: {
    title: 'FedPara: Low-Rank Hadamard Product for Communication-Efficient Federated Learning',
    url: 'https://arxiv.org/abs/2108.06098',
  },

  parseConfig(input): LohaConfig {
    check.knownKeys('loha', input, LYCORIS_KEYS);
    return Object.freeze(parseLycorisConfig('loha', input));
  },

  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      refuseUnmatched('loha', config, context);
      const { rank, scaling } = strengthOf(site.path, config);
      const [up, down] = [
        [site.outFeatures, rank],
        [rank, site.inFeatures],
      ] as const;
      const firstUp = context.param('hada_w1_a', up, normal(0.1));
      const firstDown = context.param('hada_w1_b', down, normal(1));
      const secondUp = context.param('hada_w2_a', up, config.initWeights ? zeros : normal(0.1));
      const secondDown = context.param('hada_w2_b', down, normal(1));
      let strength = scaling;
      const product = (a: typeof firstUp, b: typeof firstDown): Tensor2D =>
        linear(a.value, tf.transpose(b.value));
      const update = (): Tensor2D =>
        tf.mul(
          tf.mul<Tensor2D>(product(firstUp, firstDown), product(secondUp, secondDown)),
          strength,
        );
      return {
        forward: (x, base, call) => tf.add(base(x), dropUpdate(linear(x, update()), config, call)),
        merge: ({ weight, bias }) => ({ weight: tf.add(weight, update()), bias }),
        rescale: (factor) => void (strength *= factor),
      };
    },
  },

  toPeftConfig: toPeftLycorisConfig,
  fromPeftConfig: (json) => fromPeftLycorisConfig('loha', json),
});
