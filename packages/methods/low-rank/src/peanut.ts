/**
 * PEANuT: a small network reads the weight and makes its update. Zhong et al. 2024, "PEANuT:
 * Parameter-Efficient Adaptation with Weight-aware Neural Tweakers":
 *
 *   y = base(x) + Δ·x,  Δᵀ = s·g(σ(Wᵀ·Aᵀ))·Bᵀ             A `[r, out]`, B `[out, r]`
 *
 * g has `depth` encoders and as many decoders E_i, D_i `[r, r]`: h ← σ(h·E_iᵀ), then h ← σ(h·D_iᵀ)
 * plus what the matching encoder read. The full Δ is never made: x·Δᵀ = s·(x·g)·Bᵀ.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  optionTable,
  queryValueTargets,
  zeros,
} from '@peft/core';
import { freezeTensor, linear } from '@peft/ops';
import { sigmaNamed } from './peanut-activation.js';

/** Options of PEANuT. */
export interface PeanutConfig {
  /** r: width of the network. Default 32. */
  readonly rank: number;
  /** Encoders, and as many decoders, between A and B. Default 0. */
  readonly depth: number;
  /** σ, as transformers' `ACT2FN` names it, those with parameters of their own excepted. Default `relu`. */
  readonly activation: string;
  /** s. Default 1. */
  readonly scaling: number;
  /** Start B at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    peanut: PeanutConfig;
  }
}

/**
 * The PEANuT method: `peanut({ rank: 32, depth: 1 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN
 */
export const peanut = definePeftMethod({
  name: 'peanut',
  peftType: 'PEANUT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + s·B·g(σ(A·W))·x, g a small network',
  paper: {
    title: 'PEANuT: Parameter-Efficient Adaptation with Weight-aware Neural Tweakers',
    url: 'https://arxiv.org/abs/2410.01870',
  },
  ...optionTable<PeanutConfig>('peanut', {
    rank: { default: 32, is: 'positiveInteger', peft: 'r' },
    depth: { default: 0, is: 'nonNegativeInteger', peft: 'depth' },
    activation: {
      default: 'relu',
      is: (_owner, _field, value) => void sigmaNamed(value as string),
      peft: 'act_fn',
    },
    scaling: { default: 1, is: 'finite', peft: 'scaling' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      const { rank: r, depth, initWeights } = config;
      const sigma = sigmaNamed(config.activation);
      const matrix = (name: string, shape: readonly [number, number], init = kaimingUniform) =>
        context.param(`${name}.weight`, shape, init);
      const layers = (name: string) =>
        Array.from({ length: depth }, (_, i) => matrix(`${name}.${i}`, [r, r]));
      const a = matrix('peanut_A', [r, site.outFeatures]);
      const encoders = layers('peanut_encoders');
      const decoders = layers('peanut_decoders');
      const b = matrix('peanut_B', [site.outFeatures, r], initWeights ? zeros : kaimingUniform);
      let scaling = config.scaling;
      /** g `[in, r]` of a weight `[out, in]`. */
      const network = (weight: Tensor2D): Tensor2D => {
        const turned = freezeTensor(tf.transpose(weight)) as Tensor2D;
        let h = sigma(linear(turned, a.value));
        const read: Tensor2D[] = [];
        for (const { value } of encoders) {
          read.push(h);
          h = sigma(linear(h, value));
        }
        for (const { value } of decoders) h = tf.add(sigma(linear(h, value)), read.pop()!);
        return h;
      };
      return {
        forward(x, base) {
          const narrow = tf.matMul(x, network(site.dequantizedWeight())); // [N, r]
          return tf.add(base(x), linear(tf.mul(narrow, scaling), b.value));
        },
        merge: ({ weight, bias }) => ({
          weight: tf.add(weight, tf.mul(tf.matMul(b.value, network(weight), false, true), scaling)),
          bias,
        }),
        rescale: (factor) => void (scaling *= factor),
      };
    },
  },
});
