/**
 * RoAd: what a layer puts out is rotated and scaled in pairs of features. Liao and Monz 2024, "3-in-1:
 * 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability":
 *
 *   y = c ⊙ base(x) + s ⊙ rotate(base(x)),  c = α·cos θ, s = α·sin θ
 *
 * In each group of g features the first half pairs with the second: rotate(a, b) = (−b, a). Variants
 * by how many of θ and α a pair has: `road_1` one of each, `[out/2]`; `road_2` two, `[out]`; `road_4`
 * four, `[2·out]`, cosines and sines apart.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  ones,
  optionTable,
  queryValueTargets,
  zeros,
  type LinearSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { scaleColumns } from '@peft/ops';

/** Options of RoAd. */
export interface RoadConfig {
  /** How many numbers a pair has. Default `road_1`. */
  readonly variant: 'road_1' | 'road_2' | 'road_4';
  /** g: even, divides the outputs. Default 64. */
  readonly groupSize: number;
  /** Start at the identity. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    road: RoadConfig;
  }
}

/**
 * The RoAd method: `road({ variant: 'road_1' })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const road = definePeftMethod({
  name: 'road',
  peftType: 'ROAD',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = α·cos θ ⊙ base(x) + α·sin θ ⊙ rotate(base(x))',
  paper: {
    title:
      '3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability',
    url: 'https://arxiv.org/abs/2409.00119',
  },
  ...optionTable<RoadConfig>(
    'road',
    {
      variant: { default: 'road_1', is: ['road_1', 'road_2', 'road_4'], peft: 'variant' },
      groupSize: { default: 64, is: 'positiveInteger', peft: 'group_size' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    },
    {
      refuse({ groupSize }) {
        if (groupSize % 2 !== 0)
          throw new PeftError(
            'PEFT_CONFIG_INVALID',
            `road: groupSize must be even, got ${groupSize}.`,
          );
      },
    },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, { variant, groupSize, initWeights }, context) {
      const { outFeatures } = site;
      refuseUnfit(site, groupSize);
      const size = outFeatures * { road_1: 0.5, road_2: 1, road_4: 2 }[variant];
      const theta = context.param('road_theta', [size], initWeights ? zeros : normal(0.5));
      const alpha = context.param('road_alpha', [size], initWeights ? ones : normal(0.5, 1));
      const flat = (values: Tensor): Tensor1D => tf.reshape(values, [outFeatures]);
      /** c and s `[out]`. */
      const factors = (): readonly [Tensor1D, Tensor1D] => {
        const parts = variant === 'road_4' ? groupSize : groupSize / 2;
        const split = (values: Tensor) =>
          tf.reshape(values, [-1, variant === 'road_1' ? 1 : 2, parts]);
        const [t, a] = [split(theta.value), split(alpha.value)];
        const [c, s] = [tf.mul(a, tf.cos(t)), tf.mul(a, tf.sin(t))]; // [groups, 1 or 2, …]
        if (variant === 'road_1') return [flat(tf.tile(c, [1, 2, 1])), flat(tf.tile(s, [1, 2, 1]))];
        if (variant === 'road_2') return [flat(c), flat(s)];
        return [flat(tf.split(c, 2, 1)[0]!), flat(tf.split(s, 2, 1)[1]!)];
      };
      const turn = (y: Tensor2D): Tensor2D => {
        const [c, s] = factors();
        const [first, second] = tf.split(tf.reshape(y, [-1, 2, groupSize / 2]), 2, 1);
        const turned = tf.reshape(tf.concat([tf.neg(second!), first!], 1), y.shape) as Tensor2D;
        return tf.add(scaleColumns(y, c), scaleColumns(turned, s));
      };
      return {
        forward: (x, base) => turn(base(x)),
        merge: ({ weight, bias }) => ({
          weight: tf.transpose(turn(tf.transpose(weight))),
          bias: bias && flat(turn(tf.reshape(bias, [1, outFeatures]))),
        }),
      };
    },
  },
});

function refuseUnfit({ path, outFeatures }: LinearSite, groupSize: number): void {
  if (outFeatures % groupSize !== 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `road: groupSize must divide the ${outFeatures} outputs of ${path}, got ${groupSize}.`,
    );
}
