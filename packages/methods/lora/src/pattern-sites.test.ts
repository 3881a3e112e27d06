import { attachAdapter, describeModel } from '@peft/core';
import { bert } from '@peft/models';
import { expect, test } from 'vitest';
import { lora } from './lora.js';

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
const attach = (options: Parameters<typeof lora>[0], strict = true) =>
  attachAdapter('a', lora({ targets: ['query'], ...options }), description, undefined, { strict });

test('a pattern that matches none of the sites names the nearest', () => {
  for (const field of ['rankPattern', 'alphaPattern'] as const)
    expect(() => attach({ [field]: { quary: 2 } })).toThrow(
      expect.objectContaining({
        code: 'PEFT_TARGET_NOT_FOUND',
        message: expect.stringContaining(`${field}: "quary" matches none of the 2 sites`) as string,
        hint: expect.stringContaining('Did you mean "query"?') as string,
      }),
    );
  expect(attach({ rankPattern: { '0.*query': 2 } }).wrappedSites).toHaveLength(2);
});

test('a foreign file may have such patterns', () => {
  expect(attach({ rankPattern: { quary: 2 } }, false).wrappedSites).toHaveLength(2);
});

test('a block that has no target is named', () => {
  expect(() => attach({ layersToTransform: [1, 7] })).toThrow(
    'layersToTransform: no target stands in block 7',
  );
  expect(attach({ layersToTransform: [1] }).wrappedSites).toHaveLength(1);
});
