/**
 * {{pascal}}: multiplies what a linear map puts out by a factor for each feature.
 *
 *   {{formula}}
 *
 * Replace this paragraph by the paper's name, year and equation, and by what differs from it.
 */
import * as tf from '@tensorflow/tfjs';
import { definePeftMethod, normal, type PeftMethod } from '@peft/core';
import { check } from '@peft/errors';

export interface {{pascal}}Config {
  /** Standard deviation of the noise that it starts with; 0 changes nothing. Default 0. */
  readonly noise: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    '{{name}}': {{pascal}}Config;
  }
}

/** The method: `model.addAdapter('a', {{camel}}())`. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export const {{camel}}: PeftMethod<'{{name}}'> = definePeftMethod<'{{name}}'>({
  name: '{{name}}',
  parseConfig(input) {
    check.knownKeys('{{name}}', input, ['noise']);
    const { noise = 0 } = input;
    check.finite('{{name}}', 'noise', noise);
    return Object.freeze({ noise });
  },
  defaultTargets: () => ({ targets: 'all-linear' }),
  attach: {
    linear(site, { noise }, context) {
      const gain = context.param('gain', [site.outFeatures], normal(noise, 1));
      return {
        forward: (x, base) => tf.mul(base(x), gain.value),
        // Only where it is exact: W' = g ⊙ W, b' = g ⊙ b. Leave it out otherwise, and core refuses to merge.
        merge: ({ weight, bias }) => ({
          weight: tf.mul(weight, tf.reshape(gain.value, [-1, 1])),
          ...(bias && { bias: tf.mul(bias, gain.value) }),
        }),
      };
    },
  },
});
