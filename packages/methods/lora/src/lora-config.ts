/** The options of LoRA, their defaults and checks. */
import { patternFor, valueAt } from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import {
  DATA_STARTS,
  isDataStart,
  parseDataStart,
  type DataStartOptions,
} from './data-starts/data-start-options.js';
import {
  parseVelora,
  type BlockDiagonal,
  type KasaTerms,
  type VeloraOptions,
} from './variants/variant-options.js';
import { loraInitializer } from './variants/lora-init.js';
import type { LoraInitializer } from './variants/lora-initializer.js';

/** Options of LoRA. */
export interface LoraConfig {
  /** r: width of the low-rank path. Default 8. */
  readonly rank: number;
  /** α: the low-rank path is scaled by α/r. Default: 8. */
  readonly alpha: number;
  /** Share of the inputs of the low-rank path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** Which biases of the model train, too: none, all, or those of the targets. Default `none`. */
  readonly bias: 'none' | 'all' | 'lora_only';
  /** rsLoRA: scale by α/√r. Default false. */
  readonly rankStabilized: boolean;
  /** DoRA: a learned length for each row of the weight, beside its direction. Default false. */
  readonly dora: boolean;
  /** The low-rank path has a bias of its own. Default false. */
  readonly loraBias: boolean;
  /**
   * A gate per sequence in place of α/r (UniPELT); cannot be merged, and PEFT has no such thing.
   * Default false.
   */
  readonly gating: boolean;
  /**
   * How A and B start: `default`, `gaussian`, `random`, `orthogonal`, `pissa`, `pissa_niter_16`,
   * `olora`, `loftq`, from training batches `eva`, `corda` and `lora_ga`, or a function of one's own.
   */
  readonly init: string | LoraInitializer;
  /** How a start looks at training batches, where `init` is one that does. */
  readonly dataStart?: DataStartOptions;
  /**
   * Ranks of modules whose path is the key or ends with it after a dot; the key is a regular
   * expression. The first that matches counts.
   */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** α of such modules. */
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Rows of embeddings to train whole, by module name; a bare list means the word embedding. */
  readonly trainableTokens?: Readonly<Record<string, readonly number[]>> | readonly number[];
  /**
   * Parameters that hold a matrix for each expert, by PEFT's names or their ends
   * (`mlp.experts.gate_up_proj`): each expert gets matrices of its own.
   */
  readonly targetParameters?: readonly string[];
  /** aLoRA: ids of the tokens from whose last occurrence on it is active; it cannot be merged. */
  readonly invocationTokens?: readonly number[];
  /**
   * KaSA: singular values in between, and the base without its smallest directions; the weights of
   * its terms of the loss.
   */
  readonly kasa?: KasaTerms;
  /** BD-LoRA: one of the matrices is block-diagonal. */
  readonly blockDiagonal?: BlockDiagonal;
  /**
   * Layer replication: ranges `[first, behind the last]` of the model's blocks, which then run one
   * after the other on the weights that they have, each with adapters of its own: `[[0, 4], [2, 5]]`
   * makes blocks 0 1 2 3 2 3 4. It cannot be merged.
   */
  readonly layerReplication?: readonly (readonly [number, number])[];
  /** VeLoRA: the gradient of A comes from inputs that were kept in short. */
  readonly velora?: VeloraOptions;
  /** QA-LoRA: how many neighbouring inputs the low-rank path reads as one. */
  readonly poolSize?: number;
}

const KEYS: readonly (keyof LoraConfig)[] = [
  'rank',
  'alpha',
  'dropout',
  'bias',
  'rankStabilized',
  'dora',
  'loraBias',
  'gating',
  'init',
  'dataStart',
  'rankPattern',
  'alphaPattern',
  'trainableTokens',
  'targetParameters',
  'invocationTokens',
  'kasa',
  'blockDiagonal',
  'layerReplication',
  'velora',
  'poolSize',
];

/** @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseLoraConfig(input: Partial<LoraConfig>): LoraConfig {
  check.knownKeys('lora', input, KEYS);
  const {
    rank = 8,
    alpha = 8,
    dropout = 0,
    bias = 'none',
    rankStabilized = false,
    dora = false,
    loraBias = false,
    gating = false,
    init = 'default',
    dataStart,
    rankPattern = {},
    alphaPattern = {},
    trainableTokens,
    targetParameters,
    invocationTokens,
    kasa,
    blockDiagonal,
    layerReplication,
    velora,
    poolSize,
  } = input;
  check.positiveInteger('lora', 'rank', rank);
  check.positive('lora', 'alpha', alpha);
  check.probability('lora', 'dropout', dropout);
  check.oneOf('lora', 'bias', bias, ['none', 'all', 'lora_only']);
  check.boolean('lora', 'rankStabilized', rankStabilized);
  check.boolean('lora', 'dora', dora);
  check.boolean('lora', 'loraBias', loraBias);
  check.boolean('lora', 'gating', gating);
  loraInitializer(init);
  checkDataStart({ ...input, init });
  if (dora && loraBias)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'lora: dora and loraBias exclude each other, got both.',
      { hint: 'leave out one of them' },
    );
  if (gating && (dora || loraBias || rankStabilized))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'lora: gating goes with plain LoRA alone, without dora, loraBias and rankStabilized.',
      { hint: 'leave out one of them' },
    );
  check.record('lora', 'rankPattern', rankPattern);
  check.record('lora', 'alphaPattern', alphaPattern);
  for (const [key, value] of Object.entries(rankPattern))
    check.positiveInteger('lora', `rankPattern[${JSON.stringify(key)}]`, value);
  for (const [key, value] of Object.entries(alphaPattern))
    check.positive('lora', `alphaPattern[${JSON.stringify(key)}]`, value);
  for (const key of [...Object.keys(rankPattern), ...Object.keys(alphaPattern)]) patternFor(key);
  if (trainableTokens !== undefined) checkTokens(trainableTokens);
  if (targetParameters !== undefined) checkParameters(targetParameters, input);
  if (layerReplication !== undefined) checkReplication(layerReplication);
  checkVariants({ ...input, init, dora, loraBias, gating });
  return Object.freeze({
    rank,
    alpha,
    dropout,
    bias,
    rankStabilized,
    dora,
    loraBias,
    gating,
    init,
    dataStart,
    rankPattern,
    alphaPattern,
    trainableTokens,
    targetParameters,
    invocationTokens,
    kasa,
    blockDiagonal,
    layerReplication,
    velora: velora && parseVelora(velora),
    poolSize,
  });
}

/** What a start from data goes without. */
function checkDataStart(input: Partial<LoraConfig>): void {
  const { init, dataStart, dora, gating, targetParameters } = input;
  if (!isDataStart(init)) {
    const isMade = typeof init === 'object'; // by a start that has seen its data
    if (dataStart === undefined || isMade) return;
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: dataStart is for init ${DATA_STARTS.join(', ')}, got init ${show(init)}.`,
      { hint: 'leave it out, or choose one of these' },
    );
  }
  parseDataStart(init, dataStart);
  const { invocationTokens, kasa, blockDiagonal, poolSize } = input;
  const others = {
    ...(init === 'eva' ? {} : { dora, invocationTokens, velora: input.velora }),
    gating,
    kasa,
    blockDiagonal,
    poolSize,
    targetParameters: targetParameters?.length,
  };
  const found = Object.entries(others).find(([, value]) => value);
  if (found)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: init '${init}' starts plain LoRA on modules, got ${found[0]}, too.`,
      { hint: 'leave out one of them' },
    );
}

/** Each computes something else in the place of B·A. */
function checkVariants(input: Partial<LoraConfig>): void {
  const { invocationTokens, kasa, blockDiagonal, poolSize, velora } = input;
  const { init = 'default', dora, loraBias, gating, targetParameters } = input;
  if (poolSize !== undefined) check.positiveInteger('lora', 'poolSize', poolSize);
  const asked = { invocationTokens, kasa, blockDiagonal, velora, poolSize };
  const own = Object.entries(asked).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (own.length === 0) return;
  const others = {
    dora,
    loraBias,
    gating,
    targetParameters: targetParameters?.length,
    ...(velora && { 'an init that is taken off again': loraInitializer(init).isSubtracted }),
  };
  const more = Object.entries(others).flatMap(([name, value]) => (value ? [name] : []));
  if (own.length + more.length > 1)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: ${own[0]!} goes with plain LoRA alone, got ${[...own.slice(1), ...more].join(', ')}, too.`,
      { hint: 'leave out one of them' },
    );
  if (invocationTokens !== undefined) {
    const areIds =
      Array.isArray(invocationTokens) &&
      invocationTokens.every((id) => Number.isInteger(id) && (id as number) >= 0);
    if (!areIds || invocationTokens.length === 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lora: invocationTokens must be a list of token ids, got ${show(invocationTokens)}.`,
      );
  }
  for (const name of kasa ? (['beta', 'gamma'] as const) : []) {
    check.finite('lora', `kasa.${name}`, kasa![name]);
    if (kasa![name] < 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lora: kasa.${name} must not be negative, got ${kasa![name]}.`,
      );
  }
  if (blockDiagonal) {
    check.knownKeys('lora: blockDiagonal', blockDiagonal, ['a', 'b', 'blocks', 'strict']);
    check.positiveInteger('lora', 'blockDiagonal.blocks', blockDiagonal.blocks);
  }
}

function checkReplication(ranges: unknown): void {
  const isRange = (range: unknown): boolean =>
    Array.isArray(range) &&
    range.length === 2 &&
    range.every((end) => Number.isInteger(end) && end >= 0) &&
    range[0] < range[1];
  if (!Array.isArray(ranges) || ranges.length === 0 || !ranges.every(isRange))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: layerReplication must be a list of ranges [first, behind the last], got ${show(ranges)}.`,
      { hint: 'as [[0, 4], [2, 5]], which makes of blocks 0 … 4 the blocks 0 1 2 3 2 3 4' },
    );
}

/** Rank and scaling of a module. */
export function strengthAt(
  path: string,
  config: Pick<LoraConfig, 'rank' | 'alpha' | 'rankStabilized' | 'rankPattern' | 'alphaPattern'>,
): { readonly rank: number; readonly scaling: number } {
  const rank = valueAt(path, config.rankPattern) ?? config.rank;
  const alpha = valueAt(path, config.alphaPattern) ?? config.alpha;
  return { rank, scaling: alpha / (config.rankStabilized ? Math.sqrt(rank) : rank) };
}

/** With targets that are no modules PEFT takes plain LoRA alone. */
function checkParameters(names: unknown, { dropout, dora, loraBias }: Partial<LoraConfig>): void {
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string' && name !== ''))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: targetParameters must be a list of names, got ${show(names)}.`,
    );
  if (names.length > 0 && (dropout || dora || loraBias))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'lora: targetParameters go without dropout, dora and loraBias, as in PEFT.',
      { hint: 'leave them out, or target the experts by their modules: experts.0.down_proj' },
    );
}

function checkTokens(tokens: NonNullable<LoraConfig['trainableTokens']>): void {
  const isRecord = typeof tokens === 'object' && tokens !== null && !Array.isArray(tokens);
  const lists: readonly unknown[] = isRecord ? Object.values(tokens) : [tokens];
  if (
    !lists.every(
      (list) =>
        Array.isArray(list) &&
        list.length > 0 &&
        list.every((id) => Number.isInteger(id) && id >= 0),
    )
  ) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: trainableTokens must be a list of token ids, or one for each module name, got ${show(tokens)}.`,
    );
  }
}
