/** What adapter-hub's names for whole configs stand for, from the library's own `to_dict()`. */
import { readFileSync } from 'node:fs';
import { adapter } from '@peft/adapter';
import { adapterHubFormat, attachAdapter, describeModel, type AnyMethod } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { bert } from '@peft/models';
import { attentionPrefix } from '@peft/prompt-tuning';
import { reft } from '@peft/reft';
import { describe, expect, test } from 'vitest';
import { mam, unipelt } from '../src/index.js';

const { configs } = JSON.parse(
  readFileSync(
    new URL('../../../testing/fixtures/bottleneck/named_configs.json', import.meta.url),
    'utf8',
  ),
) as { configs: Record<string, Record<string, unknown>> };
const methods = [adapter, attentionPrefix, lora, ia3, reft] as unknown as readonly AnyMethod[];
const description = describeModel(
  bert,
  bert.parseConfig({
    model_type: 'bert',
    vocab_size: 8,
    hidden_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 32,
  }),
);
/** Other methods, or combinations that have functions of their own. */
const WITHOUT = ['prompt_tuning', 'mtl_lora', 'vera', 'dora', 'dvora', 'mam', 'unipelt'];

const read = (config: unknown) => adapterHubFormat.readSpec({ config }, methods, description, []);
const written = (spec: ReturnType<typeof read>) =>
  adapterHubFormat.writeConfig(attachAdapter('a', spec, description, undefined), {})['config'];
/** The library leaves this class attribute out of its dictionaries. */
const withoutClassAttributes = (config: unknown) =>
  JSON.parse(
    JSON.stringify(config, (key, value: unknown) =>
      key === 'subtract_projection' ? undefined : value,
    ),
  ) as unknown;

describe("adapter-hub's named configs", () => {
  test.each(Object.keys(configs).filter((name) => !WITHOUT.includes(name)))(
    '%s, by its name and by its options',
    (name) => {
      expect(withoutClassAttributes(written(read(name)))).toEqual(configs[name]);
      expect(withoutClassAttributes(written(read(configs[name])))).toEqual(configs[name]);
    },
  );

  test('mam and unipelt are the unions of the library', () => {
    expect(written(mam())).toEqual(configs['mam']);
    expect(written(unipelt())).toEqual(configs['unipelt']);
  });

  test.each(['vera', 'dora', 'dvora'])('%s is refused by name of the option', (name) => {
    expect(() => read(configs[name])).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_UNSUPPORTED' }),
    );
  });

  test.each(['prompt_tuning', 'mtl_lora'])('%s is of no method at hand', (name) => {
    expect(() => read(configs[name])).toThrow(
      expect.objectContaining({ code: 'PEFT_METHOD_UNKNOWN' }),
    );
  });
});
