import { attachAdapter, describeModel, type ModelDescription } from '@peft/core';
import { bert, llama } from '@peft/models';
import { expect, it } from 'vitest';
import { lora } from '../lora.js';
import { loraHub } from './lora-hub.js';
import type { LoraConfig } from '../lora-config.js';

const SIZES = {
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
  vocab_size: 20,
};
const decoder = describeModel(
  llama,
  llama.parseConfig({ model_type: 'llama', num_key_value_heads: 3, ...SIZES }),
  { kind: 'causal-lm' },
);
const encoder = describeModel(bert, bert.parseConfig({ model_type: 'bert', ...SIZES }));

function written(
  description: ModelDescription,
  options: Partial<LoraConfig>,
): Record<string, unknown> {
  const { sites } = attachAdapter('a', lora(options), description, undefined).parts[0]!;
  return loraHub.toConfig(lora(options).parts[0]!.config as LoraConfig, {
    description,
    sites,
    parameters: new Map(),
    shared: new Map(),
  });
}
const read = (description: ModelDescription, json: Record<string, unknown>) =>
  loraHub.fromConfig(
    { architecture: 'lora', ...json },
    { description, keys: [], version: 'adapters.1.2.0' },
  );

it("writes DoRA where the library's is the same function, and reads it again", () => {
  const json = written(decoder, { rank: 4, alpha: 4, dora: true });
  expect(json).toMatchObject({
    use_dora: true,
    r: 4,
    alpha: 4,
    attn_matrices: ['q', 'v'],
    init_weights: 'lora',
  });
  expect(read(decoder, json)).toMatchObject({
    rank: 4,
    alpha: 4,
    dora: true,
    targets: [0, 1].flatMap((layer) =>
      ['q', 'v'].map((name) => `model.layers.${layer}.self_attn.${name}_proj`),
    ),
  });
  expect(loraHub.key('lora_magnitude_vector', {} as LoraConfig)).toBe('loras.*.m.weight');
});

it("says why it does not write or read DoRA where the library's is another function", () => {
  const layer = 'encoder.layer.0.attention.self.query';
  expect(() => written(encoder, { rank: 4, alpha: 4, dora: true })).toThrow(
    `lora: adapter-hub's DoRA computes something else where a target has a bias (${layer}).`,
  );
  expect(() => written(decoder, { rank: 4, alpha: 8, dora: true })).toThrow(
    "lora: adapter-hub's DoRA computes something else where alpha (8) is not the rank (4).",
  );
  const json = { use_dora: true, r: 4, alpha: 4, attn_matrices: ['q'] };
  expect(() => read(encoder, json)).toThrow(
    expect.objectContaining({
      code: 'PEFT_CONFIG_UNSUPPORTED',
      message: expect.stringContaining(`where a target has a bias (${layer})`) as unknown,
    }),
  );
  expect(() => read(decoder, { ...json, use_gating: true })).toThrow('where there is a gate');
});

it('does not read VeRA', () => {
  expect(() => read(decoder, { r: 4, attn_matrices: ['q'], vera_d: 0.1, vera_b: 0 })).toThrow(
    'lora: adapter_config.json sets vera_d to 0.1, which is not supported',
  );
});
