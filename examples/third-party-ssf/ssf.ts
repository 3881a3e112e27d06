/**
 * SSF: scales and shifts the features that frozen linear maps put out.
 *
 *   y = γ ⊙ (x·Wᵀ + b) + β        γ, β `[out]`
 *
 * Lian et al. 2022, "Scaling & Shifting Your Features", arXiv 2210.08823, eq. 3.
 */
import * as tf from '@tensorflow/tfjs';
import { definePeftMethod, normal, type PeftMethod } from '@peft/core';
import { check, PeftError } from '@peft/errors';

export interface SsfConfig {
  /** Standard deviation of the noise on γ = 1 and β = 0 at the start. Default 0. */
  readonly standardDeviation: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    ssf: SsfConfig;
  }
}

export const ssf: PeftMethod<'ssf'> = definePeftMethod<'ssf'>({
  name: 'ssf',
  paper: { title: 'Scaling & Shifting Your Features', url: 'https://arxiv.org/abs/2210.08823' },
  parseConfig: (input) => {
    check.knownKeys('ssf', input, ['standardDeviation']);
    const { standardDeviation = 0 } = input;
    if (!(standardDeviation >= 0))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `ssf: standardDeviation must be a number >= 0, got ${standardDeviation}.`,
      );
    return { standardDeviation };
  },
  defaultTargets: () => ({ targets: 'all-linear' }),
  attach: {
    linear: (site, { standardDeviation }, context) => {
      const scale = context.param('ssf_scale', [site.outFeatures], normal(standardDeviation, 1));
      const shift = context.param('ssf_shift', [site.outFeatures], normal(standardDeviation));
      return {
        forward: (x, base) => tf.add(tf.mul(base(x), scale.value), shift.value),
        merge: ({ weight, bias }) => ({
          weight: tf.mul(weight, tf.reshape(scale.value, [-1, 1])),
          // refused by core where the layer has none
          bias: tf.add(bias ? tf.mul(bias, scale.value) : 0, shift.value),
        }),
      };
    },
  },
});
export default ssf;
