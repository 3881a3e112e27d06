/**
 * Prompt tuning as adapter-hub has it: P learned rows between an encoder's embeddings and its first
 * block,
 *
 *   x = [e_1 … e_P, LN(word_1 + position_1 …) … ]
 *
 * They have no positions and pass no norm, where PEFT's prompt tuning puts rows among the word
 * embeddings (Lester et al. 2021).
 */
import {
  adapterHubFormat,
  definePeftMethod,
  uniform,
  zeros,
  type CommonConfig,
  type Initializer,
  type SiteHandle,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { checkTextStart, embeddingsOf } from './text-start.js';

/** Options of adapter-hub's prompt tuning. */
export interface EmbeddedPromptConfig {
  /** P. Default 10. */
  readonly promptLength: number;
  /** Start as U(−initRange, initRange), or as the embeddings of a text. Default `uniform`. */
  readonly init: 'uniform' | 'text';
  /** Default 0.5. */
  readonly initRange: number;
  /** The text of `init: 'text'`, kept for the file. */
  readonly initText?: string;
  /** Its token ids; repeated or cut to fit. */
  readonly initTokenIds?: readonly number[];
  /** The rows come from a file, so that they need no start. Default false. */
  readonly isLoaded: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'embedded-prompt': EmbeddedPromptConfig;
  }
}

const OWNER = 'embedded-prompt';

/**
 * The method: `embeddedPrompt({ promptLength: 10 })`, on encoders; adapter-hub's `prompt_tuning`.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const embeddedPrompt = definePeftMethod({
  name: OWNER,
  formula: 'x = [e_1 … e_P, LN(word + position)]',
  format: adapterHubFormat,
  paper: {
    title: 'The Power of Scale for Parameter-Efficient Prompt Tuning',
    url: 'https://arxiv.org/abs/2104.08691',
  },

  parseConfig(input): EmbeddedPromptConfig {
    check.knownKeys(OWNER, input, [
      'promptLength',
      'init',
      'initRange',
      'initText',
      'initTokenIds',
      'isLoaded',
    ]);
    const {
      promptLength = 10,
      init = 'uniform',
      initRange = 0.5,
      initText,
      initTokenIds,
      isLoaded = false,
    } = input;
    check.positiveInteger(OWNER, 'promptLength', promptLength);
    check.oneOf(OWNER, 'init', init, ['uniform', 'text']);
    check.positive(OWNER, 'initRange', initRange);
    checkTextStart(OWNER, { init, initText, initTokenIds, isLoaded });
    return Object.freeze({
      promptLength,
      init,
      initRange,
      isLoaded,
      initText,
      initTokenIds,
    });
  },

  defaultTargets: ({ sites }): TargetSelection => ({
    targets: sites.flatMap(({ kind, role, path }) =>
      kind === 'sequence' && role === 'sequence.embedded' ? [path] : [],
    ),
  }),

  attach: {
    sequence(site, config, context) {
      if (site.role !== 'sequence.embedded')
        throw new PeftError(
          'PEFT_METHOD_UNSUPPORTED',
          `${OWNER}: ${site.path} is not behind the embeddings.`,
          { hint: 'leave targets out; rows among the word embeddings are promptTuning' },
        );
      const prompt = context.param(
        'prompt_embedding.weight',
        [config.promptLength, site.size],
        startOf(site, config),
      );
      return { prefix: () => prompt.value };
    },
  },

  adapterHub: {
    key: (name) => `prompt_tunings.*.${name}`,
    toConfig: (config) => ({
      architecture: 'prompt_tuning',
      combine: 'prefix',
      init_weights_seed: null,
      prompt_init: config.init === 'text' ? 'from_string' : 'random_uniform',
      prompt_init_text: config.initText ?? null,
      prompt_length: config.promptLength,
    }),
    fromConfig(json): (Partial<EmbeddedPromptConfig> & CommonConfig) | undefined {
      if (json === 'prompt_tuning') return { isLoaded: true };
      if (typeof json === 'string' || json['architecture'] !== 'prompt_tuning') return undefined;
      const {
        combine = 'prefix',
        prompt_init: init,
        prompt_init_text: initText,
        prompt_length: promptLength = 10,
      } = json;
      if (combine !== 'prefix')
        throw new PeftError(
          'PEFT_CONFIG_UNSUPPORTED',
          `${OWNER}: adapter_config.json sets combine to ${show(combine)}; only "prefix" is supported.`,
          { hint: 'train the prompt with combine="prefix"' },
        );
      return {
        promptLength: promptLength as number,
        init: init === 'from_string' ? 'text' : 'uniform',
        isLoaded: true,
        initText: typeof initText === 'string' ? initText : undefined,
      };
    },
  },
});

function startOf(
  site: SiteHandle<'sequence'>,
  { init, initRange, initTokenIds, isLoaded }: EmbeddedPromptConfig,
): Initializer {
  if (isLoaded) return zeros;
  if (init === 'uniform') return uniform(-initRange, initRange);
  return embeddingsOf(site, (p) => initTokenIds![p % initTokenIds!.length]!);
}
