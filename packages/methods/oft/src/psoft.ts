/**
 * PSOFT: a rotation in the subspace of the weight's largest singular directions. "PSOFT: Efficient
 * Orthogonal Fine-Tuning with Principal Subspace Adaptation", as PEFT 0.21 has it:
 *
 *   y = base(x) + s·B·(R − I)·A·x,  R = diag(β)·(I + Q)·(I − Q)⁻¹·diag(α)      R `[r, r]`, α, β `[r]`
 *
 * W ≈ U·Σ·Vᵀ: A = Vᵀ, B = U·Σ/s, both frozen, s the file's alpha/r; or √(Σ/s) on either side.
 *
 * A pair of singular vectors is unique up to its sign alone, and R depends on the signs. PEFT takes
 * them from the LAPACK at hand and writes them nowhere, so that its files mean one thing beside one
 * LAPACK and another beside the next. Here the largest element of each left vector is positive,
 * unless `signs` says otherwise, and the config says so under a key of its own, `psoft_signs`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  LAYERED_KEYS,
  normal,
  ones,
  optionTable,
  queryValueTargets,
  zeros,
  type Initializer,
  type SiteHandle,
  type VectorParameter,
} from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { linear, rowsOf, truncatedSvd } from '@peft/ops';
import { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';

/** Options of PSOFT. */
export interface PsoftConfig {
  /** r. Default 32. */
  readonly rank: number;
  /** α: s = α/r. Default 32. */
  readonly alpha: number;
  /** Share of the inputs that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Where Σ stands: `psoft_init`, in B; `pissa_init`, half on either side. */
  readonly split: 'psoft_init' | 'pissa_init';
  /** R is a rotation; off: any matrix. Default true. */
  readonly orthogonal: boolean;
  /** β, a factor for each direction after the rotation. Default true. */
  readonly scalesAfter: boolean;
  /** α, one before it. Default true. */
  readonly scalesBefore: boolean;
  /** Cayley's transform by its series. Default false. */
  readonly cayleyNeumann: boolean;
  /** Terms of the series. Default 5. */
  readonly neumannTerms: number;
  /** ‖Q‖ is kept below it in the series. Default: no limit. */
  readonly epsilon: number | undefined;
  /** Start at the identity. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /**
   * For a module's path the sign of each direction, `+-+`, against that where the left vector's
   * largest element is positive. Default: all `+`.
   */
  readonly signs: Readonly<Record<string, string>>;
}

declare module '@peft/core' {
  interface PeftConfigs {
    psoft: PsoftConfig;
  }
}

const table = optionTable<PsoftConfig>(
  'psoft',
  {
    rank: { default: 32, is: 'positiveInteger', peft: 'r' },
    alpha: { default: 32, is: 'positive', peft: 'psoft_alpha' },
    dropout: { default: 0, is: 'probability', peft: 'psoft_dropout' },
    split: { default: 'psoft_init', is: ['psoft_init', 'pissa_init'], peft: 'ab_svd_init' },
    orthogonal: { default: true, is: 'boolean', peft: 'psoft_orth' },
    scalesAfter: { default: true, is: 'boolean', peft: 'psoft_mag_b' },
    scalesBefore: { default: true, is: 'boolean', peft: 'psoft_mag_a' },
    cayleyNeumann: { default: false, is: 'boolean', peft: 'use_cayley_neumann' },
    neumannTerms: { default: 5, is: 'positiveInteger', peft: 'num_cayley_neumann_terms' },
    epsilon: { default: undefined, is: 'positive', peft: 'cayley_neumann_eps' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    signs: { default: {}, is: signsByModule, peft: 'psoft_signs' },
  },
  {
    fanInFanOut: true,
    fixed: { psoft_svd: 'full', psoft_svd_lowrank_niter: 10, random_seed: 0 },
  },
);

/**
 * The PSOFT method: `psoft({ rank: 32, alpha: 32 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_CONFIG_UNSUPPORTED for a file that leaves
 *   the signs to LAPACK
 */
export const psoft = definePeftMethod({
  name: 'psoft',
  peftType: 'PSOFT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + s·B·(R − I)·A·x, B·A ≈ W/s, R a rotation',
  paper: {
    title: 'Efficient Orthogonal Fine-Tuning with Principal Subspace Adaptation',
    url: 'https://arxiv.org/abs/2505.11235',
  },
  ...table,
  fromPeftConfig({ random_seed: _seed, psoft_svd_lowrank_niter: _rounds, ...json }) {
    if (json['psoft_signs'] === undefined || json['psoft_signs'] === null)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        'psoft: adapter_config.json does not say the signs of the singular vectors, which PEFT takes from the LAPACK at hand.',
        {
          hint:
            'merge it in Python, or convert it to LoRA there; or add psoft_signs: for each module ' +
            '+ where the largest element of a column of psoft_B is positive, else -',
        },
      );
    return table.fromPeftConfig(json);
  },
  defaultTargets: queryValueTargets,
  computesFromBase: () => true, // A and B

  attach: {
    linear(site, config, context) {
      const { rank, orthogonal } = config;
      const { inFeatures, outFeatures } = site;
      if (rank > Math.min(inFeatures, outFeatures))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `psoft: rank ${rank} is more than the ${Math.min(inFeatures, outFeatures)} directions of ${site.path}.`,
          { hint: 'lower it' },
        );
      const scaling = config.alpha / rank;
      const start = principal(site, config, scaling);
      const frozen = { trainable: false, saved: false };
      const a = context.param('psoft_A', [rank, inFeatures], () => start().a, frozen);
      const b = context.param('psoft_B', [outFeatures, rank], () => start().b, frozen);
      const noise = normal(0.1);
      const square: Initializer = (shape, key) => {
        const drawn = config.initWeights ? zeros(shape, key) : noise(shape, key);
        return drawn.map((value, at) => value + Number(at % (rank + 1) === 0));
      };
      const skew = config.initWeights ? zeros : noise;
      const weight = orthogonal
        ? context.param('psoft_R.weight', [(rank * (rank - 1)) / 2], skew)
        : context.param('psoft_R.weight', [rank, rank], square);
      const after = config.scalesAfter && context.param('psoft_R.vector_b', [rank], ones);
      const before = config.scalesBefore && context.param('psoft_R.vector_a', [rank], ones);
      /** R − I. */
      const turn = (): Tensor2D => {
        let r = orthogonal
          ? rotationOf(weight as VectorParameter, rank, config)
          : (weight.value as Tensor2D);
        if (after) r = tf.mul<Tensor2D>(tf.reshape(after.value, [rank, 1]), r);
        if (before) r = tf.mul<Tensor2D>(r, before.value);
        return tf.sub(r, tf.eye(rank));
      };
      return {
        forward(x, base, call) {
          const inner = linear(call.dropout(x, config.dropout), a.value); // [N, r]
          const turned = tf.mul<Tensor2D>(linear(inner, turn()), scaling);
          return tf.add(base(x), linear(turned, b.value));
        },
        merge({ weight: w, bias }) {
          const update = tf.matMul(tf.matMul(b.value as Tensor2D, turn()), a.value as Tensor2D);
          return { weight: tf.add(w, tf.mul(update, scaling)), bias };
        },
      };
    },
  },
});

function rotationOf(
  { value }: VectorParameter,
  rank: number,
  { cayleyNeumann, neumannTerms, epsilon }: PsoftConfig,
): Tensor2D {
  const skew = skewSymmetric(tf.reshape(value, [1, -1]), rank);
  if (!cayleyNeumann) return tf.squeeze(cayleyExact(tf.neg(skew)), [0]);
  if (epsilon === undefined) return tf.squeeze(cayleySeries(skew, neumannTerms), [0]);
  const norm = tf.sqrt(tf.maximum(tf.sum(tf.square(skew)), 1e-30));
  const shrink = tf.minimum(tf.div(epsilon, tf.add(norm, 1e-12)), 1);
  return tf.squeeze(cayleySeries(tf.mul<Tensor3D>(skew, shrink), neumannTerms), [0]);
}

/** A and B, made at the first call. */
function principal(
  site: SiteHandle<'linear'>,
  { rank, split, signs }: PsoftConfig,
  scaling: number,
): () => { readonly a: Float32Array; readonly b: Float32Array } {
  let made: { readonly a: Float32Array; readonly b: Float32Array } | undefined;
  return () => (made ??= decompose());

  function decompose() {
    const weight = site.dequantizedWeight();
    const [rows, columns] = weight.shape;
    const { values, left, right } = truncatedSvd(rowsOf(weight.dataSync(), rows, columns), rank); // once
    weight.dispose();
    const wanted = signs[site.path];
    if (wanted !== undefined && wanted.length !== rank)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `psoft: signs of ${site.path} must be ${rank} of + and -, got ${show(wanted)}.`,
      );
    const a = new Float32Array(rank * columns);
    const b = new Float32Array(rows * rank);
    for (let k = 0; k < rank; k += 1) {
      const sign = signOf(left[k]!) * (wanted?.[k] === '-' ? -1 : 1);
      const size = values[k]! / scaling;
      const [inA, inB] = split === 'psoft_init' ? [1, size] : [Math.sqrt(size), Math.sqrt(size)];
      right[k]!.forEach((value, j) => (a[k * columns + j] = sign * inA * value));
      left[k]!.forEach((value, i) => (b[i * rank + k] = sign * inB * value));
    }
    return { a, b };
  }
}

/** That of the largest element. */
const signOf = (vector: Float64Array): number =>
  vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0) < 0 ? -1 : 1;

function signsByModule(owner: string, field: string, value: unknown): void {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isRecord || !Object.values(value).every((each) => /^[+-]+$/.test(String(each))))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be a text of + and - for each module, got ${show(value)}.`,
    );
}
