/** How a prompt is continued. */
import { check, PeftError } from '@peft/errors';

/** What comes out of one prompt. */
export interface Generated {
  /** New tokens, an end token that closed them included. */
  readonly ids: readonly number[];
  /**
   * An end token, a stop string, as many tokens as were asked for, or no position of the model is
   * left.
   */
  readonly finishReason: 'end' | 'stop' | 'length' | 'position-limit';
  /** Beam search: Σ ln p / length^lengthPenalty. */
  readonly score?: number;
  /**
   * With `withLogProbabilities`: ln p of each new token under the model itself, before temperature,
   * `topK`, `topP` and penalties.
   */
  readonly logProbabilities?: readonly number[];
}

/** A token that was just made. */
export interface TokenEvent {
  /** Which prompt. */
  readonly prompt: number;
  readonly id: number;
  /** How many tokens of that prompt there are now. */
  readonly count: number;
}

/** How `generate` chooses tokens and when it ends; lengths in tokens. */
export interface GenerationOptions {
  /** Tokens per prompt at most. Default 128. */
  readonly maxNewTokens?: number;
  /** Tokens that end a text. Default: none. See `generationDefaults`. */
  readonly endIds?: readonly number[];
  /** What the decoder of an encoder-decoder starts with. Default [0]. */
  readonly startIds?: readonly number[];
  /** First new token of an encoder-decoder, whatever the model says: a language's. Default: none. */
  readonly firstId?: number | undefined;
  /** Last token of a text that reaches its longest, whatever the model says. Default: none. */
  readonly lastId?: number | undefined;
  /**
   * Logits are divided by it before a token is drawn; 0 takes the likeliest. Default 0, or 1 where
   * `topK` or `topP` is given.
   */
  readonly temperature?: number;
  /**
   * Draw among that many likeliest tokens (and those as likely as the last of them). Default: all.
   */
  readonly topK?: number;
  /** Draw among the likeliest tokens that together reach this probability, in (0, 1]. Default 1. */
  readonly topP?: number;
  /**
   * Logits of tokens that stand in the text already are divided by it where positive, else
   * multiplied (Keskar et al. 2019). Default 1.
   */
  readonly repetitionPenalty?: number;
  /** Width of the beam search; 1 for none. Default 1. */
  readonly beams?: number;
  /** Exponent of the length that a beam's score is divided by. Default 1. */
  readonly lengthPenalty?: number;
  /**
   * Ends a beam search once there are `beams` finished texts; false: once a better one is unlikely;
   * `never`: once it is impossible. Default false.
   */
  readonly earlyStopping?: boolean | 'never';
  /** Names the random numbers. Default 0. */
  readonly seed?: number;
  /** One for each prompt in place of `seed`: what is drawn for it does not depend on its place. */
  readonly seeds?: readonly number[] | undefined;
  /** Tell what each new token's probability was; not with beams. Default false. */
  readonly withLogProbabilities?: boolean;
  /**
   * Keep keys and values of what was read. Default true; false reads each text again for every
   * token.
   */
  readonly cache?: boolean;
  /** An adapter's name per prompt (`__base__` for none) instead of the active ones. */
  readonly adapters?: readonly string[];
  /** The task of each prompt, from 0, for adapters that learnt several. */
  readonly taskIds?: readonly number[] | undefined;
  /** The promise rejects with its reason after the present token. */
  readonly signal?: AbortSignal;
  /** Told of each token as it is made; not with beams. True ends that prompt's text (`stop`). */
  readonly onToken?: (token: TokenEvent) => boolean | void;
}

/** Options with their defaults. */
export interface ResolvedGeneration extends Required<
  Omit<
    GenerationOptions,
    'signal' | 'onToken' | 'adapters' | 'taskIds' | 'topK' | 'firstId' | 'lastId' | 'seeds'
  >
> {
  /** 0: all. */
  readonly topK: number;
  readonly firstId: number | undefined;
  readonly lastId: number | undefined;
  readonly adapters: readonly string[] | undefined;
  readonly taskIds: readonly number[] | undefined;
  readonly seeds: readonly number[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onToken: GenerationOptions['onToken'];
}

const OWNER = 'generation';
const KEYS: readonly (keyof GenerationOptions)[] = [
  'maxNewTokens',
  'endIds',
  'startIds',
  'firstId',
  'lastId',
  'temperature',
  'topK',
  'topP',
  'repetitionPenalty',
  'beams',
  'lengthPenalty',
  'earlyStopping',
  'seed',
  'seeds',
  'withLogProbabilities',
  'cache',
  'adapters',
  'taskIds',
  'signal',
  'onToken',
];

/**
 * Checks options and fills in the defaults.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export function resolveGeneration(options: GenerationOptions, prompts: number): ResolvedGeneration {
  check.knownKeys(OWNER, options, KEYS);
  const {
    maxNewTokens = 128,
    endIds = [],
    startIds = [0],
    firstId,
    lastId,
    topK = 0,
    topP = 1,
    repetitionPenalty = 1,
    beams = 1,
    lengthPenalty = 1,
    earlyStopping = false,
    seed = 0,
    seeds,
    withLogProbabilities = false,
    cache = true,
    adapters,
    taskIds,
    signal,
    onToken,
  } = options;
  const isDrawn = options.topK !== undefined || options.topP !== undefined;
  const { temperature = isDrawn ? 1 : 0 } = options;
  check.positiveInteger(OWNER, 'maxNewTokens', maxNewTokens);
  for (const id of endIds) check.nonNegativeInteger(OWNER, 'endIds', id);
  for (const id of startIds) check.nonNegativeInteger(OWNER, 'startIds', id);
  if (firstId !== undefined) check.nonNegativeInteger(OWNER, 'firstId', firstId);
  if (lastId !== undefined) check.nonNegativeInteger(OWNER, 'lastId', lastId);
  check.finite(OWNER, 'temperature', temperature);
  if (temperature < 0) fail(`temperature must be at least 0, got ${temperature}`);
  check.nonNegativeInteger(OWNER, 'topK', topK);
  check.positive(OWNER, 'topP', topP);
  if (topP > 1) fail(`topP must be in (0, 1], got ${topP}`);
  check.positive(OWNER, 'repetitionPenalty', repetitionPenalty);
  check.positiveInteger(OWNER, 'beams', beams);
  check.finite(OWNER, 'lengthPenalty', lengthPenalty);
  check.finite(OWNER, 'seed', seed);
  for (const each of seeds ?? []) check.finite(OWNER, 'seeds', each);
  check.boolean(OWNER, 'withLogProbabilities', withLogProbabilities);
  check.boolean(OWNER, 'cache', cache);
  if (earlyStopping !== 'never') check.boolean(OWNER, 'earlyStopping', earlyStopping);
  if (beams > 1 && temperature > 0)
    fail(
      `${beams} beams and a temperature of ${temperature} were asked for`,
      'beam search takes the likeliest texts: leave out temperature, topK and topP',
    );
  if (beams > 1 && onToken)
    fail(
      'beam search has no token until its end, so onToken cannot be told of any',
      'leave out onToken, or beams',
    );
  if (beams > 1 && withLogProbabilities)
    fail(
      'beam search tells a score of each text, and no probabilities of its tokens',
      'leave out withLogProbabilities, or beams',
    );
  if (seeds && (seeds.length !== prompts || options.seed !== undefined))
    fail(
      `${seeds.length} seeds were given for ${prompts} prompts` +
        (options.seed === undefined ? '' : ` beside the seed ${options.seed}`),
      'give one per prompt, or one seed for all',
    );
  if (adapters && adapters.length !== prompts)
    fail(
      `${adapters.length} adapters were named for ${prompts} prompts`,
      'give one per prompt, "__base__" for none',
    );
  if (taskIds && taskIds.length !== prompts)
    fail(`${taskIds.length} task ids were given for ${prompts} prompts`, 'give one per prompt');
  return {
    maxNewTokens,
    endIds,
    startIds,
    firstId,
    lastId,
    temperature,
    topK,
    topP,
    repetitionPenalty,
    beams,
    lengthPenalty,
    earlyStopping,
    seed,
    seeds,
    withLogProbabilities,
    cache,
    adapters,
    taskIds,
    signal,
    onToken,
  };
}

function fail(what: string, hint?: string): never {
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${OWNER}: ${what}.`,
    hint === undefined ? {} : { hint },
  );
}
