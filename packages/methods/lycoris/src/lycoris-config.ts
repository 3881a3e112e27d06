/**
 * What LoHa and LoKr have in common: options, their checks, PEFT's words for them, and dropout of
 * whole parts.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  LAYERED_KEYS,
  refuseUnmatchedPatterns,
  valueAt,
  type AttachContext,
  type AttachmentCall,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

/** Options of LoHa and LoKr. */
export interface LycorisConfig {
  /** r. Default 8. */
  readonly rank: number;
  /** α: the update is scaled by α/r. Default 8. */
  readonly alpha: number;
  /** Share of the update's rows that training drops, in [0, 1). Default 0. */
  readonly rankDropout: number;
  /** How often training leaves a layer's whole update out, in [0, 1). Default 0. */
  readonly moduleDropout: number;
  /** Start at zero, so that nothing changes at first. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
  /**
   * Ranks of modules whose path is the key or ends with it after a dot; the key is a regular
   * expression.
   */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** α of such modules. */
  readonly alphaPattern: Readonly<Record<string, number>>;
}

export const LYCORIS_KEYS: readonly (keyof LycorisConfig)[] = [
  'rank',
  'alpha',
  'rankDropout',
  'moduleDropout',
  'initWeights',
  'rankPattern',
  'alphaPattern',
];
export const LYCORIS_COMMON_KEYS = LAYERED_KEYS;

/** @throws PEFT_CONFIG_INVALID */
export function parseLycorisConfig(owner: string, input: Partial<LycorisConfig>): LycorisConfig {
  const {
    rank = 8,
    alpha = 8,
    rankDropout = 0,
    moduleDropout = 0,
    initWeights = true,
    rankPattern = {},
    alphaPattern = {},
  } = input;
  check.positiveInteger(owner, 'rank', rank);
  check.positive(owner, 'alpha', alpha);
  check.probability(owner, 'rankDropout', rankDropout);
  check.probability(owner, 'moduleDropout', moduleDropout);
  check.boolean(owner, 'initWeights', initWeights);
  check.record(owner, 'rankPattern', rankPattern);
  check.record(owner, 'alphaPattern', alphaPattern);
  for (const [key, value] of Object.entries(rankPattern))
    check.positiveInteger(owner, `rankPattern[${JSON.stringify(key)}]`, value);
  for (const [key, value] of Object.entries(alphaPattern))
    check.positive(owner, `alphaPattern[${JSON.stringify(key)}]`, value);
  return { rank, alpha, rankDropout, moduleDropout, initWeights, rankPattern, alphaPattern };
}

/** @throws PEFT_TARGET_NOT_FOUND */
export const refuseUnmatched = (
  method: string,
  { rankPattern, alphaPattern }: Pick<LycorisConfig, 'rankPattern' | 'alphaPattern'>,
  context: AttachContext,
): void => refuseUnmatchedPatterns(method, { rankPattern, alphaPattern }, context);

/** Rank and α/r of a module. */
export function strengthOf(
  path: string,
  { rank, alpha, rankPattern, alphaPattern }: Omit<LycorisConfig, 'initWeights'>,
): { readonly rank: number; readonly scaling: number } {
  const own = valueAt(path, rankPattern) ?? rank;
  return { rank: own, scaling: (valueAt(path, alphaPattern) ?? alpha) / own };
}

export const toPeftLycorisConfig = (config: LycorisConfig): Record<string, unknown> => ({
  r: config.rank,
  alpha: config.alpha,
  rank_dropout: config.rankDropout,
  module_dropout: config.moduleDropout,
  init_weights: config.initWeights,
  rank_pattern: config.rankPattern,
  alpha_pattern: config.alphaPattern,
  use_effective_conv2d: false,
});

/** @throws PEFT_CONFIG_UNSUPPORTED for start values of another kind */
export function fromPeftLycorisConfig(
  owner: string,
  json: Readonly<Record<string, unknown>>,
): Partial<LycorisConfig> {
  const init = json['init_weights'];
  if (init !== undefined && init !== null && typeof init !== 'boolean')
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `${owner}: adapter_config.json sets init_weights to ${show(init)}, which is not supported.`,
    );
  const known = {
    rank: json['r'],
    alpha: json['alpha'],
    rankDropout: json['rank_dropout'],
    moduleDropout: json['module_dropout'],
    initWeights: init === undefined ? undefined : init !== false,
    rankPattern: json['rank_pattern'] ?? {},
    alphaPattern: json['alpha_pattern'] ?? {},
  } as Partial<LycorisConfig>;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/**
 * Drops rows of an update (columns of what it adds) and whole updates, in training. What stays
 * keeps its size, as in PEFT.
 * @param added `[N, out]`. @param rescale makes the mean of the rows' mask 1 again.
 */
export function dropUpdate(
  added: Tensor2D,
  { rankDropout, moduleDropout }: Pick<LycorisConfig, 'rankDropout' | 'moduleDropout'>,
  call: AttachmentCall,
  rescale = false,
): Tensor2D {
  if (!call.training) return added;
  const mask = (count: number, rate: number, purpose: string): Tensor2D =>
    tf.mul(call.dropout(tf.ones([1, count]) as Tensor2D, rate, purpose), 1 - rate);
  let result = added;
  if (rankDropout > 0) {
    const rows = mask(added.shape[1], rankDropout, 'rank-dropout');
    result = tf.mul(result, rescale ? tf.div(rows, tf.maximum(tf.mean(rows), 1e-12)) : rows);
  }
  return moduleDropout > 0 ? tf.mul(result, mask(1, moduleDropout, 'module-dropout')) : result;
}
