/**
 * {{pascal}}: puts P learned keys and values beside each sequence of an attention.
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
    attention(site, { virtualTokens }, context) {
      const width = site.keyValueHeads * site.headSize;
      const keys = context.param('keys', [virtualTokens, width], normal(0.1));
      const values = context.param('values', [virtualTokens, width], normal(0.1));
      return {
        extend: () => ({
          keys: keys.value,
          values: values.value,
        }),
      };
    },
  },
});
