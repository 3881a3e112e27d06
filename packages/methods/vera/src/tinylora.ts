/**
 * TinyLoRA: within the largest singular directions of a weight a small matrix is learned, itself a
 * mixture of fixed random ones by few numbers. "Learning to Reason in 13 Parameters", as PEFT 0.21 has
 * it:
 *
 *   y = base(x) + B·R·A·x,  R = Σ_i v_i·P_i           v `[u]`, P `[u, r, r]` ~ N(0, 1/r)
 *
 * W ≈ U·Σ·Vᵀ, A = √Σ·Vᵀ `[r, in]`, B = U·√Σ `[out, r]`; both stand in the file, whose directions have
 * signs of their own. Layers in a row share v, the more of them the larger `weightTying`. A layer's P
 * comes from the seed plus its number, as PyTorch draws it.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  uniform,
  zeros,
} from '@peft/core';
import { linear, mersenneTwister, rowsOf, torchNormal, truncatedSvd, type Svd } from '@peft/ops';
import { PeftError, show } from '@peft/errors';

/** Options of TinyLoRA. */
export interface TinyloraConfig {
  /** r: singular directions. Default 2. */
  readonly rank: number;
  /** u: learned numbers of a layer. Default 64. */
  readonly size: number;
  /** From 0, each layer has its own v, to 1, all share one. Default 0. */
  readonly weightTying: number;
  /** Seed of P. Default 42. */
  readonly projectionSeed: number;
  /** Write P into the file (it follows from the seed). Default true. */
  readonly saveProjection: boolean;
  /** v starts in U(−bound, bound) under `initWeights: 'uniform'`. Default 0.02. */
  readonly initialBound: number;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at zero, or `uniform`; `false` is as `uniform`. Default true. */
  readonly initWeights: boolean | 'uniform';
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'tinylora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    tinylora: TinyloraConfig;
  }
}

/**
 * The TinyLoRA method: `tinylora({ rank: 2, size: 64 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const tinylora = definePeftMethod({
  name: 'tinylora',
  peftType: 'TINYLORA',
  peftCommonKeys: ['target_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save'],
  formula: 'y = base(x) + U·√Σ·(Σᵢ vᵢ·Pᵢ)·√Σ·Vᵀ·x',
  paper: {
    title: 'Learning to Reason in 13 Parameters',
    url: 'https://arxiv.org/abs/2602.04118',
  },
  ...optionTable<TinyloraConfig>(
    'tinylora',
    {
      rank: { default: 2, is: 'positiveInteger', peft: 'r' },
      size: { default: 64, is: 'positiveInteger', peft: 'u' },
      weightTying: { default: 0, is: share, peft: 'weight_tying' },
      projectionSeed: { default: 42, is: 'nonNegativeInteger', peft: 'projection_seed' },
      saveProjection: { default: true, is: 'boolean', peft: 'save_projection' },
      initialBound: { default: 0.02, is: 'positive', peft: 'init_v_bound' },
      dropout: { default: 0, is: 'probability', peft: 'tinylora_dropout' },
      initWeights: { default: true, is: [true, false, 'uniform'], peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'tinylora_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { inFeatures, outFeatures } = site;
      const { size: u, initialBound } = config;
      const r = Math.min(config.rank, inFeatures, outFeatures);
      const layer = context.sites.findIndex(({ path }) => path === site.path);
      const v = context.sharedParam(
        `tinylora_v.${groupOf(layer, context.sites.length, config.weightTying)}`,
        [u],
        config.initWeights === true ? zeros : uniform(-initialBound, initialBound),
      );
      let svd: Svd | undefined;
      const directions = (): Svd => (svd ??= svdOf(site.dequantizedWeight(), r));
      const fixed = { trainable: false };
      const a = context.param(
        'tinylora_A',
        [r, inFeatures],
        () =>
          Float32Array.from(
            directions().right.flatMap((row, k) =>
              [...row].map((x) => x * rootOf(directions(), k)),
            ),
          ),
        fixed,
      );
      const b = context.param(
        'tinylora_B',
        [outFeatures, r],
        () =>
          Float32Array.from({ length: outFeatures * r }, (_, at) => {
            const k = at % r;
            return directions().left[k]![Math.floor(at / r)]! * rootOf(directions(), k);
          }),
        fixed,
      );
      svd = undefined;
      const p = context.param(
        'tinylora_P',
        [u, r, r],
        () =>
          torchNormal(mersenneTwister(config.projectionSeed + layer), u * r * r, 1 / Math.sqrt(r)),
        { trainable: false, saved: config.saveProjection },
      );
      /** R `[r, r]`. */
      const small = (): Tensor2D =>
        tf.reshape(tf.matMul(tf.reshape(v.value, [1, u]), tf.reshape(p.value, [u, r * r])), [r, r]);
      return {
        forward(x, base, call) {
          const narrow = linear(call.dropout(x, config.dropout), a.value);
          return tf.add(base(x), linear(linear(narrow, small()), b.value));
        },
        merge: ({ weight, bias }) => ({
          weight: tf.add(weight, tf.matMul(tf.matMul(b.value, small()), a.value)),
          bias,
        }),
      };
    },
  },
});

const rootOf = ({ values }: Svd, k: number): number => Math.sqrt(values[k]!);

/** Disposes the weight. */
function svdOf(weight: Tensor2D, rank: number): Svd {
  const [rows, columns] = weight.shape;
  const values = weight.dataSync();
  weight.dispose();
  return truncatedSvd(rowsOf(values, rows, columns), rank);
}

/** Which v a layer uses. */
function groupOf(layer: number, layers: number, tying: number): number {
  const wanted = layers * (1 - tying);
  // as Python rounds, a half to the even number
  const rounded = wanted % 1 === 0.5 ? 2 * Math.round(wanted / 2) : Math.round(wanted);
  const groups = Math.max(1, rounded);
  return Math.min(Math.floor(layer / Math.max(1, Math.floor(layers / groups))), groups - 1);
}

function share(owner: string, field: string, value: unknown): void {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be a number from 0 to 1, got ${show(value)}.`,
    );
}
