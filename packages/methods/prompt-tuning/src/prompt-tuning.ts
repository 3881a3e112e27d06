/**
 * Prompt tuning (Lester et al. 2021): P learned rows in front of each sequence, x' = [e_1 … e_P,
 * x_1 … x_T]; in an encoder-decoder in front of both stacks. PEFT calls it PROMPT_TUNING.
 */
import { definePeftMethod, normal, zeros, type Initializer, type SiteHandle } from '@peft/core';
import { check } from '@peft/errors';
import { randomUniform } from '@peft/ops';
import { checkTextStart, embeddingsOf } from './text-start.js';
import { ownRows, peftModelWords, stacksIn, tokenTargets, totalTokens } from './virtual-tokens.js';

/** Options of prompt tuning. */
export interface PromptTuningConfig {
  /** P. Default 20. */
  readonly virtualTokens: number;
  /**
   * Start as N(0, 1), as the embeddings of a text, or as those of tokens drawn from the vocabulary.
   * Default `random`.
   */
  readonly init: 'random' | 'text' | 'vocabulary';
  /** The text of `init: 'text'`, kept for the file. */
  readonly initText?: string;
  /** Its token ids; repeated or cut to fit. */
  readonly initTokenIds?: readonly number[];
  /** Name or path of the tokenizer of `initText`, kept for the file. */
  readonly tokenizer?: string;
  /** The rows come from a file, so that they need no start. Default false. */
  readonly isLoaded: boolean;
  /**
   * Stacks that the file's rows are for: 1, or 2 of an encoder-decoder. Default: what PEFT makes.
   */
  readonly stacks?: number;
  /** Options of the tokenizer of `initText`, kept for the file. */
  readonly tokenizerOptions?: Readonly<Record<string, unknown>>;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'prompt-tuning': PromptTuningConfig;
  }
}

const OWNER = 'prompt-tuning';
const HUB_INITS = { random: 'RANDOM', text: 'TEXT', vocabulary: 'SAMPLE_VOCAB' } as const;

/**
 * The prompt tuning method: `promptTuning({ virtualTokens: 8, init: 'text', initText, initTokenIds:
 * tokenizer.encode(initText).ids })`.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const promptTuning = definePeftMethod({
  name: OWNER,
  formula: "x' = [e_1 … e_P, x_1 … x_T]",
  peftType: 'PROMPT_TUNING',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  paper: {
    title: 'The Power of Scale for Parameter-Efficient Prompt Tuning',
    url: 'https://arxiv.org/abs/2104.08691',
  },

  parseConfig: (input) => parsePrompt(OWNER, input),

  defaultTargets: tokenTargets,

  attach: {
    sequence(site, config, context) {
      const table = context.sharedParam(
        'prompt_embeddings',
        [totalTokens(context, config), site.size],
        startOf(site, config, context.description.vocabularySize),
      );
      return {
        tokens: config.virtualTokens,
        prefix: () => ownRows(table.value, site, context, config.virtualTokens),
      };
    },
  },

  toPeftConfig(config, context) {
    const [site] = context.sites.filter(({ kind }) => kind === 'sequence');
    return {
      ...peftModelWords(context, config, (site as { size: number }).size),
      prompt_tuning_init: HUB_INITS[config.init],
      prompt_tuning_init_text: config.initText ?? null,
      tokenizer_kwargs: config.tokenizerOptions ?? null,
      tokenizer_name_or_path: config.tokenizer ?? null,
    };
  },

  fromPeftConfig(json) {
    const init = (Object.keys(HUB_INITS) as (keyof typeof HUB_INITS)[]).find(
      (name) => HUB_INITS[name] === json['prompt_tuning_init'],
    );
    return {
      virtualTokens: json['num_virtual_tokens'] as number,
      isLoaded: true,
      ...stacksIn(json),
      init,
      initText:
        typeof json['prompt_tuning_init_text'] === 'string'
          ? json['prompt_tuning_init_text']
          : undefined,
      tokenizerOptions: (json['tokenizer_kwargs'] ?? undefined) as
        Record<string, unknown> | undefined,
      tokenizer:
        typeof json['tokenizer_name_or_path'] === 'string'
          ? json['tokenizer_name_or_path']
          : undefined,
    };
  },
});

/** Options of a prompt that starts from rows, text or vocabulary. */
const PROMPT_KEYS = [
  'virtualTokens',
  'init',
  'initText',
  'initTokenIds',
  'tokenizer',
  'isLoaded',
  'stacks',
  'tokenizerOptions',
];

/**
 * @param owner the method, for messages
 * @param more options that it has besides
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export function parsePrompt(
  owner: string,
  input: Partial<PromptTuningConfig>,
  more: readonly string[] = [],
): PromptTuningConfig {
  check.knownKeys(owner, input, [...PROMPT_KEYS, ...more]);
  const {
    virtualTokens = 20,
    init = 'random',
    initText,
    initTokenIds,
    tokenizer,
    isLoaded = false,
    stacks,
    tokenizerOptions,
  } = input;
  check.positiveInteger(owner, 'virtualTokens', virtualTokens);
  check.oneOf(owner, 'init', init, ['random', 'text', 'vocabulary']);
  if (stacks !== undefined) check.positiveInteger(owner, 'stacks', stacks);
  if (tokenizer !== undefined) check.string(owner, 'tokenizer', tokenizer);
  checkTextStart(owner, { init, initText, initTokenIds, isLoaded });
  return Object.freeze({
    virtualTokens,
    init,
    isLoaded,
    stacks,
    tokenizerOptions,
    initText,
    initTokenIds,
    tokenizer,
  });
}

/** What a table of prompts starts as. */
export function startOf(
  site: SiteHandle<'sequence'>,
  { init, initTokenIds, isLoaded }: Pick<PromptTuningConfig, 'init' | 'initTokenIds' | 'isLoaded'>,
  vocabularySize: number,
): Initializer {
  if (isLoaded) return zeros;
  if (init === 'random') return normal(1);
  const given = initTokenIds ?? [];
  return embeddingsOf(site, (p, key) =>
    init === 'text' ? given[p % given.length]! : Math.floor(randomUniform(key, p) * vocabularySize),
  );
}
