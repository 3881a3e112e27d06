/**
 * {{pascal}}: puts P learned rows in front of each sequence.
 *
 *   {{formula}}
 *
 * Replace this paragraph by the paper's name, year and equation, and by what differs from it.
 */
import { definePeftMethod, normal, type PeftMethod } from '@peft/core';
import { check } from '@peft/errors';

export interface {{pascal}}Config {
  /** P, virtual tokens. Default 4. */
  readonly virtualTokens: number;
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
    check.knownKeys('{{name}}', input, ['virtualTokens']);
    const { virtualTokens = 4 } = input;
    check.positiveInteger('{{name}}', 'virtualTokens', virtualTokens);
    return Object.freeze({ virtualTokens });
  },
  defaultTargets: () => ({}), // every site of the kind
  attach: {
    sequence(site, { virtualTokens }, context) {
      const rows = context.param('rows', [virtualTokens, site.size], normal(0.1));
      return { prefix: () => rows.value };
    },
  },
});
