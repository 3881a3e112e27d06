import { attachAdapter, describeModel, type MethodSpec } from '@peft/core';
import { bert } from '@peft/models';
import { expect, test } from 'vitest';
import { loha } from './loha.js';
import { lokr } from './lokr.js';

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
const attach = (spec: MethodSpec, strict = true) =>
  attachAdapter('a', spec, description, undefined, { strict });

test.each([
  { name: 'loha', method: loha },
  { name: 'lokr', method: lokr },
])('a pattern of $name that matches none of its sites names the nearest', ({ name, method }) => {
  for (const field of ['rankPattern', 'alphaPattern'] as const) {
    const spec = method({ rank: 2, targets: ['query'], [field]: { quary: 2 } });
    expect(() => attach(spec)).toThrow(
      expect.objectContaining({
        code: 'PEFT_TARGET_NOT_FOUND',
        message: expect.stringContaining(
          `${name}: ${field}: "quary" matches none of the 2 sites`,
        ) as string,
        hint: expect.stringContaining('Did you mean "query"?') as string,
      }),
    );
    expect(attach(spec, false).wrappedSites).toHaveLength(2);
  }
});
