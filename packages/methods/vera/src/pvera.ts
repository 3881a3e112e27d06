/**
 * PVeRA: VeRA whose narrow activations are drawn from a normal distribution in training. "PVeRA:
 * Probabilistic Vector-Based Random Matrix Adaptation", as PEFT 0.21 has it:
 *
 *   y = base(x) + b ⊙ B·z,  z = μ + ε ⊙ exp(v/2),  (μ, v) = d ⊙ A·x,  ε ~ N(0, 1)
 *
 * A `[2r, widest in]`, B `[widest out, r]` random and shared, d `[2r]`, b `[out]` learned. Outside
 * training z = μ, and what was learned can be merged, unless `sampleAtInference` asks for ε there, too.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  constant,
  definePeftMethod,
  normal,
  ones,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type LinearAttachment,
} from '@peft/core';
import { freezeTensor, linear, mersenneTwister, scaleColumns, torchUniform } from '@peft/ops';
import { widestOf } from './projections.js';

/** Options of PVeRA. */
export interface PveraConfig {
  /** r: width of the shared projections. Default 256. */
  readonly rank: number;
  /** Seed of the projections, as PyTorch draws them. Default 0. */
  readonly projectionSeed: number;
  /** Write the projections into the file (they follow from the seed). Default true. */
  readonly saveProjection: boolean;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** What d starts at. Default 0.1. */
  readonly initialD: number;
  /** Draw ε outside training, too. Default false. */
  readonly sampleAtInference: boolean;
  /** Kept for files: PEFT's seed of ε, which is drawn from the run's own seed here. */
  readonly generatorSeed: number | undefined;
  /** Start at b = 0. `false`: b = 1, d ~ N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'pvera_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    pvera: PveraConfig;
  }
}

/**
 * The PVeRA method: `pvera({ rank: 256 })`. Merging is exact without `sampleAtInference`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const pvera = definePeftMethod({
  name: 'pvera',
  peftType: 'PVERA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + b ⊙ B·z, z ~ N(μ, eᵛ), (μ, v) = d ⊙ A·x',
  paper: {
    title: 'PVeRA: Probabilistic Vector-Based Random Matrix Adaptation',
    url: 'https://arxiv.org/abs/2512.07703',
  },
  ...optionTable<PveraConfig>(
    'pvera',
    {
      rank: { default: 256, is: 'positiveInteger', peft: 'r' },
      projectionSeed: { default: 0, is: 'nonNegativeInteger', peft: 'projection_prng_key' },
      saveProjection: { default: true, is: 'boolean', peft: 'save_projection' },
      dropout: { default: 0, is: 'probability', peft: 'pvera_dropout' },
      initialD: { default: 0.1, is: 'finite', peft: 'd_initial' },
      sampleAtInference: { default: false, is: 'boolean', peft: 'sample_at_inference' },
      generatorSeed: { default: undefined, is: 'nonNegativeInteger', peft: 'generator_seed' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'pvera_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { rank: r, initWeights } = config;
      const { inFeatures, outFeatures } = site;
      const [widestIn, widestOut] = widestOf(context.sites);
      const random = mersenneTwister(config.projectionSeed);
      // kaiming-uniform with gain √2: U(−√(6/fan), +)
      const draw = ([rows, columns]: readonly number[]): Float32Array => {
        const bound = Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(columns!));
        return torchUniform(random, rows! * columns!, -bound, bound);
      };
      const kept = { trainable: false, saved: config.saveProjection };
      const a = context.sharedParam('pvera_A', [2 * r, widestIn], draw, kept);
      const b = context.sharedParam('pvera_B', [widestOut, r], draw, kept);
      const gain = context.param('pvera_lambda_b', [outFeatures], initWeights ? zeros : ones);
      const spread = context.param(
        'pvera_lambda_d',
        [2 * r],
        initWeights ? constant(config.initialD) : normal(1),
      );
      const down = (): Tensor2D => freezeTensor(tf.slice(a.value, [0, 0], [2 * r, inFeatures]));
      const up = (): Tensor2D => freezeTensor(tf.slice(b.value, [0, 0], [outFeatures, r]));
      const forward: LinearAttachment['forward'] = (x, base, call) => {
        const both = scaleColumns(linear(call.dropout(x, config.dropout), down()), spread.value);
        const [mean, logVariance] = tf.split(both, 2, 1) as [Tensor2D, Tensor2D]; // [N, r]
        const isDrawn = call.training || config.sampleAtInference;
        const narrow = isDrawn
          ? tf.add<Tensor2D>(
              mean,
              tf.mul(call.normal(mean.shape), tf.exp(tf.mul(logVariance, 0.5))),
            )
          : mean;
        return tf.add(base(x), scaleColumns(linear(narrow, up()), gain.value));
      };
      // rows of another batch would draw other numbers
      if (config.sampleAtInference) return { forward, readsWholeBatch: true };
      return {
        forward,
        merge: ({ weight, bias }) => ({
          weight: tf.add(
            weight,
            tf.matMul(
              tf.mul<Tensor2D>(up(), tf.reshape(gain.value, [-1, 1])),
              tf.mul<Tensor2D>(
                tf.slice(down(), [0, 0], [r, inFeatures]),
                tf.reshape(tf.slice(spread.value, [0], [r]), [-1, 1]),
              ),
            ),
          ),
          bias,
        }),
      };
    },
  },
});
