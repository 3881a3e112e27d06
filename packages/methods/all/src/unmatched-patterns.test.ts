/** Options of single modules by pattern, in every method that has such. */
import { attachAdapter, combineMethods, describeModel, specOf, type MethodSpec } from '@peft/core';
import { lora } from '@peft/lora';
import { loha } from '@peft/lycoris';
import { bert } from '@peft/models';
import { expect, test } from 'vitest';
import { allMethods } from './all-methods.js';

const description = describeModel(
  bert,
  bert.parseConfig({
    model_type: 'bert',
    vocab_size: 11,
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 12,
  }),
);
const attach = (spec: MethodSpec) => () => attachAdapter('a', spec, description, undefined);
const unmatched = (message: string) =>
  expect.objectContaining({
    code: 'PEFT_TARGET_NOT_FOUND',
    message: expect.stringContaining(message) as string,
  }) as Error;

const PATTERNS = allMethods.flatMap((method) =>
  (method.options ?? [])
    .filter(({ name }) => name.endsWith('Pattern') && method.name !== 'hira') // which takes none
    .map(({ name: option }) => ({ name: method.name, method, option })),
);

test.each(PATTERNS)('$name refuses a $option that no site matches', ({ name, method, option }) => {
  const spec = specOf(method, { targets: ['query'], [option]: { quary: 2 } });
  expect(attach(spec)).toThrow(
    unmatched(`${name}: ${option}: "quary" matches none of the 2 sites`),
  );
});

test('each method of a combination refuses its own', () => {
  const patterns = { targets: ['query'], rank: 2, rankPattern: { query: 2 } };
  const spec = combineMethods(
    'both',
    lora(patterns),
    loha({ ...patterns, rankPattern: { quary: 2 } }),
  );
  expect(attach(spec)).toThrow(unmatched('loha: rankPattern: "quary" matches none'));
});
