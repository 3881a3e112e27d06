/** The options of ReFT, their defaults and checks. */
import { check, PeftError, show } from '@peft/errors';
import { activationNamed } from '@peft/ops';

/** Options of ReFT. */
export interface ReftConfig {
  /** r: dimensions of the subspace that is changed. Default 1. */
  readonly rank: number;
  /** Tokens at the start of each sequence that are changed. Default 3. */
  readonly prefixPositions: number;
  /** Tokens at its end. Default 0. */
  readonly suffixPositions: number;
  /** Blocks behind which it stands; a decoder's count on from the encoder's. Default all. */
  readonly layers: 'all' | readonly number[];
  /** The rows of R are kept orthonormal. Default true. */
  readonly orthogonality: boolean;
  /** One intervention for both ends. Default false. */
  readonly tiedWeights: boolean;
  /** Take the projection of the state out (LoReFT, NoReFT), or not (DiReFT). Default true. */
  readonly subtractProjection: boolean;
  /** Share of the changed states that training drops, in [0, 1). Default 0.05. */
  readonly dropout: number;
  /** f, none by default. */
  readonly nonLinearity: string | null;
}

const OWNER = 'reft';
/** ReFT's options where none are given: adapter-hub's `LoReftConfig`. */
export const REFT_DEFAULTS: ReftConfig = Object.freeze({
  rank: 1,
  prefixPositions: 3,
  suffixPositions: 0,
  layers: 'all',
  orthogonality: true,
  tiedWeights: false,
  subtractProjection: true,
  dropout: 0.05,
  nonLinearity: null,
});

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN */
export function parseReftConfig(input: Partial<ReftConfig>): ReftConfig {
  check.knownKeys(OWNER, input, Object.keys(REFT_DEFAULTS));
  const config = { ...REFT_DEFAULTS, ...input };
  check.positiveInteger(OWNER, 'rank', config.rank);
  check.nonNegativeInteger(OWNER, 'prefixPositions', config.prefixPositions);
  check.nonNegativeInteger(OWNER, 'suffixPositions', config.suffixPositions);
  check.probability(OWNER, 'dropout', config.dropout);
  for (const flag of ['orthogonality', 'tiedWeights', 'subtractProjection'] as const)
    check.boolean(OWNER, flag, config[flag]);
  if (config.nonLinearity !== null) activationNamed(config.nonLinearity);
  if (config.prefixPositions + config.suffixPositions === 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: prefixPositions and suffixPositions are both 0, so that no token is changed.`,
    );
  if (
    config.layers !== 'all' &&
    !(
      Array.isArray(config.layers) &&
      config.layers.length > 0 &&
      config.layers.every((layer) => Number.isInteger(layer) && layer >= 0)
    )
  ) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: layers must be 'all' or a list of block numbers, got ${show(config.layers)}.`,
    );
  }
  return Object.freeze(config);
}
