/** The options of OFT, their defaults and checks, and PEFT's words for them. */
import type { PeftConfigContext } from '@peft/core';
import { check, PeftError } from '@peft/errors';

/** Options of OFT. */
export interface OftConfig {
  /**
   * Features that one rotation turns; 0 when `rank` says how many rotations there are. Default 32.
   */
  readonly blockSize: number;
  /** Number of rotations; 0 when `blockSize` is given. Default 0. */
  readonly rank: number;
  /** One rotation for all blocks of a layer. Default false. */
  readonly blockShare: boolean;
  /** COFT: rotations stay within `epsilon` of the identity. Default false. */
  readonly constrained: boolean;
  /** Default 6e-5. */
  readonly epsilon: number;
  /** Cayley's transform by its series, without an inverse. Default true. */
  readonly cayleyNeumann: boolean;
  /** Terms of the series. Default 5. */
  readonly neumannTerms: number;
  /** Share of the blocks that training leaves unrotated, in [0, 1). Default 0. */
  readonly moduleDropout: number;
  /** Start at the identity. `false`: N(0, 0.1²), for tests. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'oft_only';
}

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseOftConfig(input: Partial<OftConfig>): OftConfig {
  check.knownKeys('oft', input, [
    'blockSize',
    'rank',
    'blockShare',
    'constrained',
    'epsilon',
    'cayleyNeumann',
    'neumannTerms',
    'moduleDropout',
    'initWeights',
    'bias',
  ]);
  const {
    rank = 0,
    blockSize = rank > 0 ? 0 : 32,
    blockShare = false,
    constrained = false,
    epsilon = 6e-5,
    cayleyNeumann = true,
    neumannTerms = 5,
    moduleDropout = 0,
    initWeights = true,
    bias = 'none',
  } = input;
  check.nonNegativeInteger('oft', 'blockSize', blockSize);
  check.nonNegativeInteger('oft', 'rank', rank);
  if ((rank === 0) === (blockSize === 0))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `oft: exactly one of rank and blockSize must be over 0, got ${rank} and ${blockSize}.`,
      { hint: 'leave one of them out' },
    );
  check.boolean('oft', 'blockShare', blockShare);
  check.boolean('oft', 'constrained', constrained);
  check.positive('oft', 'epsilon', epsilon);
  check.boolean('oft', 'cayleyNeumann', cayleyNeumann);
  check.positiveInteger('oft', 'neumannTerms', neumannTerms);
  check.probability('oft', 'moduleDropout', moduleDropout);
  check.boolean('oft', 'initWeights', initWeights);
  check.oneOf('oft', 'bias', bias, ['none', 'all', 'oft_only']);
  return Object.freeze({
    blockSize,
    rank,
    blockShare,
    constrained,
    epsilon,
    cayleyNeumann,
    neumannTerms,
    moduleDropout,
    initWeights,
    bias,
  });
}

/**
 * Number and size of the blocks of a layer; what does not divide the width moves to the nearest
 * number that does.
 */
export function blocksOf(
  width: number,
  { rank, blockSize }: Pick<OftConfig, 'rank' | 'blockSize'>,
): { readonly count: number; readonly size: number } {
  if (rank > 0) {
    const count = nearestDivisor(width, rank);
    return { count, size: width / count };
  }
  const size = nearestDivisor(width, blockSize);
  return { count: width / size, size };
}

/** The smaller one where two are equally near. */
function nearestDivisor(width: number, wanted: number): number {
  if (wanted >= width) return width;
  let above = wanted;
  while (width % above !== 0) above += 1;
  let below = wanted;
  while (width % below !== 0) below -= 1;
  return wanted - below <= above - wanted ? below : above;
}

export function toPeftOftConfig(
  config: OftConfig,
  { sites }: PeftConfigContext,
): Record<string, unknown> {
  return {
    r: config.rank,
    oft_block_size: config.blockSize,
    block_share: config.blockShare,
    coft: config.constrained,
    eps: config.epsilon,
    use_cayley_neumann: config.cayleyNeumann,
    num_cayley_neumann_terms: config.neumannTerms,
    module_dropout: config.moduleDropout,
    init_weights: config.initWeights,
    bias: config.bias,
    fan_in_fan_out: sites.some((site) => site.kind === 'linear' && site.transposed),
  };
}

export function fromPeftOftConfig(json: Readonly<Record<string, unknown>>): Partial<OftConfig> {
  const known = {
    rank: json['r'],
    blockSize: json['oft_block_size'],
    blockShare: json['block_share'],
    constrained: json['coft'],
    epsilon: json['eps'],
    cayleyNeumann: json['use_cayley_neumann'],
    neumannTerms: json['num_cayley_neumann_terms'],
    moduleDropout: json['module_dropout'],
    initWeights: json['init_weights'],
    bias: json['bias'],
  } as Partial<OftConfig>;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
