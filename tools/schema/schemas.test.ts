import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { overrideHyperparameters, resolveHyperparameters, settingSchemas } from '@peft/predictor';
import { describe, expect, test } from 'vitest';
import { RUN_FILE_KEYS } from '../../packages/cli/src/options/fit-options.js';
import { ROOT } from '../packages.mjs';
import { makeSchemas } from './make-schemas.js';

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
  readonly description?: string;
  readonly enum?: readonly unknown[];
}
const read = (name: string): Schema =>
  JSON.parse(readFileSync(join(ROOT, 'packages/cli/schema', name), 'utf8')) as Schema;

test('the schemas that are shipped are made of the tables', async () => {
  for (const [path, text] of Object.entries(await makeSchemas()))
    expect(
      readFileSync(join(ROOT, path), 'utf8'),
      `run tools/schema/make-schemas.ts: ${path}`,
    ).toBe(text);
});

describe('a run file', () => {
  const run = read('run.schema.json');

  test('has the keys that are read, each with what it is for', () => {
    expect(Object.keys(run.properties!).sort()).toEqual([...RUN_FILE_KEYS].sort());
    for (const [key, { description }] of Object.entries(run.properties!))
      expect(description, key).toMatch(/\w/);
    expect(run.additionalProperties).toBe(false);
    expect(run.properties!['task']!.enum).toContain('seq2seq');
  });

  test("of the README fits, and the README's typo does not", () => {
    const readme = readFileSync(join(ROOT, 'packages/cli/README.md'), 'utf8');
    const example = parseYaml(/^```yaml\n([\s\S]*?)^```/m.exec(readme)![1]!) as object;
    expect(unknownKeys(example, run)).toEqual([]);
    expect(
      unknownKeys({ lable: 'a', hyperparameters: { optim: { lrr: 1 }, 'env.batch': 2 } }, run),
    ).toEqual(['lable', 'hyperparameters.optim.lrr', 'hyperparameters.env.batch']);
  });
});

/** Keys that an editor would underline. */
function unknownKeys(value: unknown, schema: Schema, at = ''): string[] {
  if (typeof value !== 'object' || value === null || !schema.properties) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const own = Object.hasOwn(schema.properties!, key) ? schema.properties![key] : undefined;
    if (own) return unknownKeys(inner, own, `${at}${key}.`);
    const allowed = Object.keys(schema.patternProperties ?? {}).some((p) =>
      new RegExp(p).test(key),
    );
    return allowed || schema.additionalProperties !== false ? [] : [`${at}${key}`];
  });
}

describe('a setting', () => {
  const settings = read('settings.schema.json');

  test('stands under its dotted key and in its group, with its default', () => {
    for (const [key, { default: value }] of Object.entries(settingSchemas())) {
      const nested = key
        .split('.')
        .reduce((schema, part) => schema.properties![part]!, settings as Schema);
      expect(settings.properties![key], key).toMatchObject({ default: value });
      expect(nested, key).toEqual(settings.properties![key]);
    }
  });

  test('is described where its type is', () => {
    expect(settings.properties!['optim.lr_decay']!.description).toMatch(/^Each layer further/);
  });

  test('takes its own default', () => {
    const defaults = Object.fromEntries(
      Object.entries(settingSchemas()).map(([key, schema]) => [key, schema.default]),
    );
    expect(overrideHyperparameters(resolveHyperparameters({}), defaults)).toEqual(
      resolveHyperparameters({}),
    );
  });
});
