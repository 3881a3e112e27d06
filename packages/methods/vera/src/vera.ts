/**
 * VeRA: all layers share two random, frozen projections; each layer learns two vectors. Kopiczko et
 * al. 2023, "VeRA: Vector-based Random Matrix Adaptation", eq. 2:
 *
 *   y = base(x) + b ⊙ B·(d ⊙ A·x)        A `[r, widest in]`, B `[widest out, r]`, d `[r]`, b `[out]`
 *
 * A layer takes the first `in` columns of A and the first `out` rows of B.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  constant,
  definePeftMethod,
  normal,
  ones,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type AttachContext,
  type MatrixParameter,
} from '@peft/core';
import { freezeTensor, linear, mersenneTwister, scaleColumns, torchUniform } from '@peft/ops';
import { widestOf } from './projections.js';
import {
  fromPeftVeraConfig,
  parseVeraConfig,
  toPeftVeraConfig,
  type VeraConfig,
} from './vera-config.js';

declare module '@peft/core' {
  interface PeftConfigs {
    vera: VeraConfig;
  }
}

/**
 * The VeRA method: `vera({ rank: 256 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const vera = definePeftMethod({
  name: 'vera',
  formula: 'y = base(x) + b ⊙ B·(d ⊙ A·x), A and B random',
  peftType: 'VERA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  paper: {
    title: 'VeRA: Vector-based Random Matrix Adaptation',
    url: 'https://arxiv.org/abs/2310.11454',
  },
  parseConfig: parseVeraConfig,
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { a, b } = projections(config, context);
      const outScale = context.param(
        'vera_lambda_b',
        [site.outFeatures],
        config.initWeights ? zeros : ones,
      );
      const rankScale = context.param(
        'vera_lambda_d',
        [config.rank],
        config.initWeights ? constant(config.initialD) : normal(1),
      );
      const down = (): Tensor2D =>
        freezeTensor(tf.slice(a.value, [0, 0], [config.rank, site.inFeatures]));
      const up = (): Tensor2D =>
        freezeTensor(tf.slice(b.value, [0, 0], [site.outFeatures, config.rank]));
      return {
        forward(x, base, call) {
          const narrow = scaleColumns(
            linear(call.dropout(x, config.dropout), down()),
            rankScale.value,
          ); // [N, r]
          return tf.add(base(x), scaleColumns(linear(narrow, up()), outScale.value));
        },
        merge: ({ weight, bias }) => ({
          weight: tf.add(
            weight,
            tf.matMul(
              tf.mul<Tensor2D>(up(), tf.reshape(outScale.value, [-1, 1])),
              tf.mul<Tensor2D>(down(), tf.reshape(rankScale.value, [-1, 1])),
            ),
          ),
          bias,
        }),
      };
    },
  },

  toPeftConfig: toPeftVeraConfig,
  fromPeftConfig: fromPeftVeraConfig,
});

/**
 * A, then B, from one stream of PyTorch's generator: kaiming-uniform with gain √2, U(−√(6/fan), +).
 */
function projections(
  { rank, projectionSeed, saveProjection }: VeraConfig,
  context: AttachContext,
): { a: MatrixParameter; b: MatrixParameter } {
  const [widestIn, widestOut] = widestOf(context.sites);
  const options = { trainable: false, saved: saveProjection };
  const random = mersenneTwister(projectionSeed);
  const draw = ([rows, columns]: readonly number[]): Float32Array => {
    const bound = Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(columns!));
    return torchUniform(random, rows! * columns!, -bound, bound);
  };
  const a = context.sharedParam('vera_A', [rank, widestIn], draw, options);
  return { a, b: context.sharedParam('vera_B', [widestOut, rank], draw, options) };
}
