/**
 * OSF: a weight's largest singular directions are kept, the others trained, and only at right angles
 * to the kept ones. Nayak et al. 2025, "Sculpting Subspaces: Constrained Full Fine-Tuning in LLMs for
 * Continual Learning":
 *
 *   W' = W + U·diag(σ)·Vᵀ − U₀·diag(σ₀)·V₀ᵀ,  dU ← dU − U_k·U_kᵀ·dU,  dV ← dV − dV·V_kᵀ·V_k
 *
 * W = U_k·Σ_k·V_kᵀ + U₀·diag(σ₀)·V₀ᵀ, k the kept directions; U `[out, m]`, σ `[m]`, V `[m, in]`, m =
 * min(out, in) − k, start at the others. The gradients are not the loss's own: what would turn the kept
 * directions is taken out.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  fullMatch,
  normal,
  optionTable,
  queryValueTargets,
  refuseUnmatchedPatterns,
  type Initializer,
  type LinearSite,
  type PathPattern,
  type MatrixParameter,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { differentiable, linear, rowsOf, scaleColumns, truncatedSvd, type Svd } from '@peft/ops';

/** Options of OSF. */
export interface OsfConfig {
  /** Directions to keep: a number, or a share below 1 of the narrower side. Default: half. */
  readonly effectiveRank: number | undefined;
  /** The same for modules whose path has a part that matches the key, a regular expression. */
  readonly rankPattern: Readonly<Record<string, number>> | undefined;
  /** Start at the weight's own directions. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    osf: OsfConfig;
  }
}

/**
 * The OSF method: `osf({ effectiveRank: 0.5 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const osf = definePeftMethod({
  name: 'osf',
  peftType: 'OSF',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = base(x) + (U·Σ·Vᵀ − U₀·Σ₀·V₀ᵀ)·x, U ⊥ U_k, V ⊥ V_k',
  paper: {
    title: 'Sculpting Subspaces: Constrained Full Fine-Tuning in LLMs for Continual Learning',
    url: 'https://arxiv.org/abs/2504.07097',
  },
  ...optionTable<OsfConfig>(
    'osf',
    {
      effectiveRank: { default: undefined, is: 'positive', peft: 'effective_rank' },
      rankPattern: { default: undefined, is: pattern, peft: 'rank_pattern' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    },
    { fixed: { target_svd_config: null } },
  ),
  defaultTargets: queryValueTargets,
  computesFromBase: () => true, // the kept directions

  attach: {
    linear(site, config, context) {
      const { rankPattern = {} } = config;
      refuseUnmatchedPatterns('osf', { rankPattern }, context, partOf);
      const { inFeatures, outFeatures } = site;
      const all = Math.min(inFeatures, outFeatures);
      const kept = keptOf(site, config);
      const rest = all - kept;
      let svd: Svd | undefined;
      const parts = (): Svd => (svd ??= svdOf(site.dequantizedWeight(), all));
      /** Unit vectors as the columns of `[length, n]`. */
      const columns =
        (side: 'left' | 'right', from: number): Initializer =>
        ([length, count]) =>
          Float32Array.from(
            { length: length! * count! },
            (_, at) => parts()[side][from + (at % count!)]![Math.floor(at / count!)]!,
          );
      const hidden = { trainable: false, saved: false };
      const keptLeft = context.param('osf_U_high', [outFeatures, kept], columns('left', 0), hidden);
      const keptRight = context.param(
        'osf_V_high',
        [inFeatures, kept],
        columns('right', 0),
        hidden,
      );
      const keptValues = context.param(
        'osf_S_high',
        [kept],
        () => Float32Array.from(parts().values.slice(0, kept)),
        hidden,
      );
      const start = (own: Initializer): Initializer => (config.initWeights ? own : normal(1));
      const u = context.param(
        'osf_svd_params.U_low',
        [outFeatures, rest],
        start(columns('left', kept)),
      );
      const s = context.param(
        'osf_svd_params.S_low',
        [rest],
        start(() => Float32Array.from(parts().values.slice(kept))),
      );
      const v = context.param(
        'osf_svd_params.V_low',
        [rest, inFeatures],
        start(() =>
          Float32Array.from(
            parts()
              .right.slice(kept)
              .flatMap((row) => [...row]),
          ),
        ),
      );
      svd = undefined;
      const left = (): Tensor2D => atRightAngles(u.value, keptLeft, false);
      const right = (): Tensor2D => atRightAngles(v.value, keptRight, true);
      return {
        forward(x, base) {
          // what the weight does outside of the kept directions goes, what was learned comes
          const high = tf.mul<Tensor2D>(tf.matMul(x, keptRight.value), keptValues.value);
          const low = scaleColumns(linear(x, right()), s.value);
          const gone = tf.sub<Tensor2D>(site.product(x), linear(high, keptLeft.value));
          return tf.add(tf.sub<Tensor2D>(base(x), gone), linear(low, left()));
        },
        merge({ weight, bias }) {
          const low = tf.matMul(tf.mul<Tensor2D>(u.value, s.value), v.value);
          const high = tf.matMul(
            tf.mul<Tensor2D>(keptLeft.value, keptValues.value),
            keptRight.value,
            false,
            true,
          );
          const base = site.dequantizedWeight();
          return {
            weight: tf.add(weight, tf.add(low, tf.sub(high, base))),
            bias,
          };
        },
      };
    },
  },
});

/** A matrix whose gradient loses what lies along kept directions `[length, k]`. */
function atRightAngles(matrix: Tensor2D, kept: MatrixParameter, isRows: boolean): Tensor2D {
  return differentiable<'matrix', Tensor2D>(
    { matrix },
    () => tf.clone(matrix),
    ({ dy }) => {
      const [gradient, basis] = [dy as Tensor2D, kept.value];
      const along = isRows
        ? tf.matMul(tf.matMul(gradient, basis), basis, false, true)
        : tf.matMul(basis, tf.matMul(basis, gradient, true));
      return { matrix: tf.sub(gradient, along) };
    },
  );
}

/** A key of `rankPattern`: a regular expression for a part of a path. */
const partOf = (key: string): PathPattern => fullMatch(`.*(?:${key}).*`);

/** Disposes the weight. */
function svdOf(weight: Tensor2D, rank: number): Svd {
  const [rows, columns] = weight.shape;
  const values = weight.dataSync();
  weight.dispose();
  return truncatedSvd(rowsOf(values, rows, columns), rank);
}

function keptOf(
  { path, inFeatures, outFeatures }: LinearSite,
  { effectiveRank, rankPattern = {} }: OsfConfig,
): number {
  const all = Math.min(inFeatures, outFeatures);
  const key = Object.keys(rankPattern).find((each) => partOf(each).test(path));
  const asked = (key === undefined ? undefined : rankPattern[key]) ?? effectiveRank;
  const share = asked ?? 0.5;
  const kept = share < 1 ? all * share : share;
  const whole = Math.min(all, Math.floor(kept));
  if (whole < 1)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `osf: effectiveRank ${show(asked)} keeps no direction of ${path}, whose narrower side is ${all}.`,
      { hint: 'raise it' },
    );
  return whole;
}

function pattern(owner: string, field: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be an object of ranks by pattern, got ${show(value)}.`,
    );
  for (const [key, rank] of Object.entries(value)) {
    check.positive(owner, `${field}[${JSON.stringify(key)}]`, rank);
    partOf(key);
  }
}
