/** The options of VeRA, their defaults and checks, and PEFT's words for them. */
import type { PeftConfigContext } from '@peft/core';
import { check } from '@peft/errors';

/** Options of VeRA. */
export interface VeraConfig {
  /** r: width of the shared projections. Default 256. */
  readonly rank: number;
  /** Seed of the projections, as PyTorch draws them. Default 0. */
  readonly projectionSeed: number;
  /** Write the projections into the file (they follow from the seed). Default true. */
  readonly saveProjection: boolean;
  /** Share of the inputs of the low-rank path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** What d starts at. Default 0.1. */
  readonly initialD: number;
  /**
   * Start at b = 0, so that nothing changes at first. `false`: b = 1, d ~ N(0, 1), for tests.
   * Default true.
   */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'vera_only';
}

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseVeraConfig(input: Partial<VeraConfig>): VeraConfig {
  check.knownKeys('vera', input, [
    'rank',
    'projectionSeed',
    'saveProjection',
    'dropout',
    'initialD',
    'initWeights',
    'bias',
  ]);
  const {
    rank = 256,
    projectionSeed = 0,
    saveProjection = true,
    dropout = 0,
    initialD = 0.1,
    initWeights = true,
    bias = 'none',
  } = input;
  check.positiveInteger('vera', 'rank', rank);
  check.nonNegativeInteger('vera', 'projectionSeed', projectionSeed);
  check.boolean('vera', 'saveProjection', saveProjection);
  check.probability('vera', 'dropout', dropout);
  check.finite('vera', 'initialD', initialD);
  check.boolean('vera', 'initWeights', initWeights);
  check.oneOf('vera', 'bias', bias, ['none', 'all', 'vera_only']);
  return Object.freeze({
    rank,
    projectionSeed,
    saveProjection,
    dropout,
    initialD,
    initWeights,
    bias,
  });
}

export function toPeftVeraConfig(
  config: VeraConfig,
  { sites }: PeftConfigContext,
): Record<string, unknown> {
  return {
    r: config.rank,
    projection_prng_key: config.projectionSeed,
    save_projection: config.saveProjection,
    vera_dropout: config.dropout,
    d_initial: config.initialD,
    init_weights: config.initWeights,
    bias: config.bias,
    fan_in_fan_out: sites.some((site) => site.kind === 'linear' && site.transposed),
  };
}

export function fromPeftVeraConfig(json: Readonly<Record<string, unknown>>): Partial<VeraConfig> {
  const known = {
    rank: json['r'],
    projectionSeed: json['projection_prng_key'],
    saveProjection: json['save_projection'],
    dropout: json['vera_dropout'],
    initialD: json['d_initial'],
    initWeights: json['init_weights'],
    bias: json['bias'],
  } as Partial<VeraConfig>;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
