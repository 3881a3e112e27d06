/**
 * FRoD: layers of one kind share a basis, in which each learns its own scales and a few rotations.
 * "FRoD: Full-Rank Efficient Fine-Tuning with Rotational Degrees for Fast Convergence", as PEFT 0.21
 * has it:
 *
 *   y = U·(diag(λ) + S)·Vᵀ·x + b        W = U·diag(λ₀)·Vᵀ; V `[in, in]`, U `[out, in]`, λ `[in]`
 *
 * V is shared by the layers of a kind (all `self_attn.q_proj`), U has columns of length 1; λ is
 * trained from λ₀, S from zero at ⌊rate·in²⌋ random places off the diagonal, the same of a kind. U
 * follows from V and the base weight. V is unique up to signs alone, so that it is in the file.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  LAYERED_KEYS,
  normal,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type Site,
  type SiteHandle,
} from '@peft/core';
import { linear, rowsOf, torchPermutation, type Rows } from '@peft/ops';
import { jointBasis, layerFactors } from './joint-basis.js';
import { sparseMatrix } from './sparse-matrix.js';

/** Options of FRoD. */
export interface FrodConfig {
  /** Share of the elements of S that are trained. Default 0.01. */
  readonly rate: number;
  /** α of the joint decomposition: keeps its inverses stable. Default 0.001. */
  readonly regularization: number;
  /** Seed of the places. Default 0. */
  readonly seed: number;
  /** Share of the inputs that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Start at the weight itself. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'frod_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    frod: FrodConfig;
  }
}

/**
 * The FRoD method: `frod({ rate: 0.01 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_CONFIG_UNSUPPORTED for a file without its
 *   basis
 */
export const frod = definePeftMethod({
  name: 'frod',
  peftType: 'FROD',
  peftCommonKeys: LAYERED_KEYS.filter((key) => key !== 'exclude_modules'),
  formula: 'y = U·(diag(λ) + S)·Vᵀ·x + b, S of few elements',
  paper: {
    title: 'FRoD: Full-Rank Efficient Fine-Tuning with Rotational Degrees for Fast Convergence',
    url: 'https://arxiv.org/abs/2512.23485',
  },
  ...optionTable<FrodConfig>(
    'frod',
    {
      rate: { default: 0.01, is: 'probability', peft: 'sparse_rate' },
      regularization: { default: 0.001, is: 'positive', peft: 'regularization_alpha' },
      seed: { default: 0, is: 'nonNegativeInteger', peft: 'projection_prng_key' },
      dropout: { default: 0, is: 'probability', peft: 'frod_dropout' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'frod_only'], peft: 'bias' },
    },
    { fixed: { save_projection: true }, fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,
  computesFromBase: () => true, // U

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { inFeatures: width, outFeatures } = site;
      const kind = kindOf(site.path);
      const known = context.shared('known bases', (): KnownValues => new WeakMap());
      const frozen = { trainable: false };
      const v = context.sharedParam(
        `frod_V.${kind}`,
        [width, width],
        () => basisOf(kind, config, context.sites, site),
        frozen,
      );
      const count = Math.min(
        Math.max(Math.trunc(width * width * config.rate), Number(config.rate > 0)),
        width * (width - 1),
      );
      const places = context.sharedParam(
        `frod_s_indices.${kind}`,
        [2, count],
        () => placesOf(width, count, config.seed),
        { ...frozen, storedAs: 'I64', below: width },
      );
      context.sharedParam(`frod_s_size.${kind}`, [2], () => Int32Array.of(width, width), {
        ...frozen,
        storedAs: 'I64',
        below: width + 1,
      });
      const factors = () =>
        layerFactors(
          rowsOf(hostValues(v.value, known), width, width),
          takeRows(site.dequantizedWeight()),
        );
      let basis: Float32Array | undefined; // what U was made from
      const makeLeft = (): Float32Array => {
        basis = hostValues(v.value, known);
        return factors().u;
      };
      const hidden = { ...frozen, saved: false };
      const u = context.param('frod_U', [outFeatures, width], makeLeft, hidden);
      const noise = normal(0.1);
      const lambda = context.param('frod_lambda_l', [width], (shape, key) => {
        const start = factors().lambda;
        return config.initWeights ? start : noise(shape, key).map((value, i) => value + start[i]!);
      });
      const first = config.initWeights ? zeros : noise;
      const values = context.param('frod_lambda_s_values', [count], first);
      /** U, made anew where a file brought another V; before V goes to a device. */
      const left = (): Tensor2D => {
        const now = hostValues(v.value, known);
        if (now !== basis && now.some((value, i) => value !== basis![i]))
          tf.tidy(() => u.value.assign(tf.tensor2d(makeLeft(), [outFeatures, width])));
        basis = now;
        return u.value;
      };
      const rotations = (): Tensor2D =>
        tf.tidy(() => {
          const [rows, columns] = tf.unstack(places.value) as [Tensor1D, Tensor1D];
          const flat = tf.add<Tensor1D>(tf.mul(rows, tf.scalar(width, 'int32')), columns);
          return sparseMatrix(values.value, flat, [width, width]);
        });
      return {
        forward(x, base, call) {
          const outer = left();
          const dropped = call.dropout(x, config.dropout);
          const inner: Tensor2D = tf.matMul(dropped, v.value as Tensor2D); // [N, in]
          const scaled = tf.mul<Tensor2D>(inner, lambda.value);
          const turned = tf.add<Tensor2D>(scaled, linear(inner, rotations()));
          return tf.add(base(x), tf.sub(linear(turned, outer), site.product(dropped)));
        },
        merge({ weight, bias }) {
          const outer = left();
          const scales = tf.diag(lambda.value) as Tensor2D;
          const inner = tf.add<Tensor2D>(rotations(), scales);
          const whole = linear(tf.matMul(outer, inner), v.value);
          const base = site.dequantizedWeight();
          return { weight: tf.add(weight, tf.sub(whole, base)), bias };
        },
      };
    },
  },
});

/** What a V holds, by its memory: layers share it, and a device is not read at once. */
type KnownValues = WeakMap<object, Float32Array>;

/** Values of a tensor that was written in host memory and not yet used on a device, or seen before. */
function hostValues(variable: Variable, known: KnownValues): Float32Array {
  const values = known.get(variable.dataId) ?? Float32Array.from(variable.dataSync());
  known.set(variable.dataId, values);
  return values;
}

/**
 * What PEFT calls the layers that share a basis: the end of their path, `self_attn_q_proj`.
 */
export function kindOf(path: string): string {
  const parts = path.split('.');
  const [last, second, third] = [parts.at(-1)!, parts.at(-2), parts.at(-3)];
  if (second === undefined || /^\d+$/.test(second)) return last;
  const kind = `${second}_${last}`;
  return kind === 'output_dense' && third === 'attention' ? 'attention_output' : kind;
}

/** Where two layers of one kind stand in blocks of the same number (T5's stacks), the later counts. */
function basisOf(
  kind: string,
  config: FrodConfig,
  sites: readonly Site[],
  { dequantizedWeightAt }: SiteHandle<'linear'>,
): Float32Array {
  const blocks = new Map<string, string>();
  sites.forEach(({ path }, i) => {
    if (kindOf(path) === kind)
      blocks.set(/\.(\d+)\./.exec(`.${path}.`)?.[1] ?? `no block ${i}`, path);
  });
  const weights = [...blocks.values()].map((path) => takeRows(dequantizedWeightAt(path)));
  return Float32Array.from(jointBasis(weights, config.regularization).flatMap((row) => [...row]));
}

/** Rows and columns of the places, all rows first; none on the diagonal. */
function placesOf(width: number, count: number, seed: number): Int32Array {
  const drawn = torchPermutation(seed, width * (width - 1), count);
  const rows = drawn.map((at) => Math.floor(at / (width - 1)));
  const columns = drawn.map((at, i) => (at % (width - 1)) + Number(at % (width - 1) >= rows[i]!));
  return Int32Array.from([...rows, ...columns]);
}

/** Once, while attaching; disposes of the weight. */
function takeRows(weight: Tensor2D): Rows {
  const rows = rowsOf(weight.dataSync(), weight.shape[0], weight.shape[1]);
  weight.dispose();
  return rows;
}
