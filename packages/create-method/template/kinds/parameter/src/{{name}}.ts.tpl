/**
 * {{pascal}}: trains parameters that the model has, the norms to begin with.
 *
 *   {{formula}}
 *
 * Replace this paragraph by the paper's name, year and equation, and by what differs from it.
 */
import { definePeftMethod, type PeftMethod } from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

export interface {{pascal}}Config {
  /** Words in the names of the parameters that train. Default `norm`. */
  readonly words: readonly string[];
}

declare module '@peft/core' {
  interface PeftConfigs {
    '{{name}}': {{pascal}}Config;
  }
}

/** The method: `model.addAdapter('a', {{camel}}())`. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export const {{camel}}: PeftMethod<'{{name}}'> = definePeftMethod<'{{name}}'>({
  name: '{{name}}',
  parseConfig(input) {
    check.knownKeys('{{name}}', input, ['words']);
    const { words = ['norm'] } = input;
    if (!Array.isArray(words) || words.length === 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `{{name}}: words must be a list of at least one word, got ${show(words)}.`,
      );
    return Object.freeze({ words });
  },
  defaultTargets: ({ parameters }, { words }) => ({
    targets: parameters
      .map(({ name }) => name)
      .filter((name) => words.some((word) => name.toLowerCase().includes(word))),
  }),
  attach: {
    // The adapter trains a copy of the parameter, which counts while it is active; merging is exact
    // without a word about it.
    parameter: (site, _config, context) => {
      context.unfreeze(site.path);
      return undefined;
    },
  },
});
