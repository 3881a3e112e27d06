/**
 * RandLoRA: a sum of random low-rank products, each row and column of which is scaled, so that the
 * update has full rank. Albert et al. 2025, "RandLoRA: Full-rank parameter-efficient fine-tuning of
 * large models":
 *
 *   Δ = s·B·(λ ⊙ A ⊙ γ), turned round where the layer is wider than high; s = α/r
 *
 * A `[r, 1, narrowest]` and B `[widest, n, r]` are random and shared, n = ⌈narrower side/r⌉ bases; λ
 * `[r, n]` and γ `[n, narrower side]` are learned. The rows of λ ⊙ A ⊙ γ run over r first, the columns
 * of B over n first, as PEFT flattens them. The file holds A and B once more with each layer.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  constant,
  definePeftMethod,
  normal,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { freezeTensor, linear, mersenneTwister, torchUniform } from '@peft/ops';
import { widestOf } from './projections.js';

/** Options of RandLoRA. */
export interface RandloraConfig {
  /** r: rank of each basis. Default 32. */
  readonly rank: number;
  /** α. Default 640. */
  readonly alpha: number;
  /** Seed of the bases. Default 0. */
  readonly projectionSeed: number;
  /** Write the bases into the file; off only for sparse ones, which follow from the seed. */
  readonly saveProjection: boolean;
  /** Bases of −1, 0 and 1, with a share of 1/3 not zero. Default false. */
  readonly sparse: boolean;
  /** The same with a share of 1/√(narrowest side). Default false. */
  readonly verySparse: boolean;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at λ = 0. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'randlora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    randlora: RandloraConfig;
  }
}

/**
 * The RandLoRA method: `randlora({ rank: 32 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const randlora = definePeftMethod({
  name: 'randlora',
  peftType: 'RANDLORA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + s·Σⱼ Bⱼ·(λⱼ ⊙ A ⊙ γⱼ)·x',
  paper: {
    title: 'RandLoRA: Full-rank parameter-efficient fine-tuning of large models',
    url: 'https://arxiv.org/abs/2502.00987',
  },
  ...optionTable<RandloraConfig>(
    'randlora',
    {
      rank: { default: 32, is: 'positiveInteger', peft: 'r' },
      alpha: { default: 640, is: 'positive', peft: 'randlora_alpha' },
      projectionSeed: { default: 0, is: 'nonNegativeInteger', peft: 'projection_prng_key' },
      saveProjection: { default: true, is: 'boolean', peft: 'save_projection' },
      sparse: { default: false, is: 'boolean', peft: 'sparse' },
      verySparse: { default: false, is: 'boolean', peft: 'very_sparse' },
      dropout: { default: 0, is: 'probability', peft: 'randlora_dropout' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'randlora_only'], peft: 'bias' },
    },
    {
      fanInFanOut: true,
      refuse({ saveProjection, sparse, verySparse }) {
        if (!saveProjection && !sparse && !verySparse)
          throw new PeftError(
            'PEFT_CONFIG_UNSUPPORTED',
            'randlora: dense bases must be in the file: PEFT draws them in bfloat16.',
            { hint: 'leave saveProjection on, or make the bases sparse' },
          );
      },
    },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { rank: r, initWeights, saveProjection } = config;
      const { inFeatures, outFeatures } = site;
      const sides = widestOf(context.sites);
      const [narrowest, widest] = [Math.min(...sides), Math.max(...sides)];
      const kept = { trainable: false, saved: saveProjection };
      const draw = basesOf(config, narrowest);
      const a = context.sharedParam('randlora_A', [r, 1, narrowest], draw, kept);
      const bases = Math.ceil(narrowest / r);
      const b = context.sharedParam('randlora_B', [widest, bases, r], draw, kept);
      if (saveProjection) {
        context.repeat('randlora_A', a);
        context.repeat('randlora_B', b);
      }
      const isWide = outFeatures >= inFeatures;
      const [narrow, wide] = isWide ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
      const count = Math.ceil(narrow / r);
      const lambda = context.param('randlora_lambda', [r, count], initWeights ? zeros : normal(1));
      const gamma = context.param(
        'randlora_gamma',
        [count, narrow],
        constant(1 / (initWeights ? Math.max(count, narrow) : wide)),
      );
      let scaling = config.alpha / r;
      /** λ ⊙ A ⊙ γ `[r·n, narrow]`. */
      const learned = (): Tensor2D => {
        const basis = freezeTensor(tf.slice(a.value, 0, [r, 1, narrow]));
        const scaled = tf.mul(tf.mul(tf.expandDims(lambda.value, 2), basis), gamma.value);
        return tf.reshape(scaled, [r * count, narrow]);
      };
      /** B `[wide, n·r]`. */
      const fixed = (): Tensor2D =>
        freezeTensor(tf.reshape(tf.slice(b.value, 0, [wide, count, r]), [wide, -1]));
      return {
        forward(x, base, call) {
          const dropped = call.dropout(x, config.dropout);
          const added = isWide
            ? linear(linear(dropped, learned()), fixed())
            : tf.matMul(tf.matMul(dropped, fixed()), learned());
          return tf.add(base(x), tf.mul(added, scaling));
        },
        merge({ weight, bias }) {
          const product = tf.matMul(fixed(), learned()); // [wide, narrow]
          const update = isWide ? product : tf.transpose(product);
          return { weight: tf.add(weight, tf.mul(update, scaling)), bias };
        },
        rescale: (factor) => void (scaling *= factor),
      };
    },
  },
});

/** A, then B, from one stream, each with a standard deviation of 1. */
function basesOf(
  { projectionSeed, sparse, verySparse }: RandloraConfig,
  narrowest: number,
): (shape: readonly number[]) => Float32Array {
  const random = mersenneTwister(projectionSeed);
  const sparsity = verySparse ? Math.sqrt(narrowest) : 3;
  return (shape) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const isSparse = sparse || verySparse;
    const drawn = torchUniform(random, count, isSparse ? 0 : -1, 1);
    const rim = 1 / (2 * sparsity);
    const values = isSparse
      ? drawn.map((value) => Number(value > 1 - rim) - Number(value < rim))
      : drawn;
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
    return values.map((value) => value / Math.sqrt(variance));
  };
}
