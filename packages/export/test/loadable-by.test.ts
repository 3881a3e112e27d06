/** What a fit is refused for is what its files would be refused for. */
import { join } from 'node:path';
import { saveAdapter, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { allMethods, methodNamed } from '@peft/methods';
import type { Engine } from '@peft/ops';
import { tinyModels, useModel, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { expect, test } from 'vitest';
import { checkAdapter, loadableBy, TARGET_NAMES } from '../src/index.js';

const decoder = tinyModels()[2]!;
let engine: Engine;
let model: Model;
let folder = '';
usePortableEngine((made) => (engine = made));
useTemporaryFolder((made) => (folder = made));
useModel(
  () => decoder.open(engine),
  (made) => (model = made),
);

const refuses = (target: string): boolean => {
  try {
    loadableBy(target)(model);
    return false;
  } catch (error) {
    expect((error as PeftError).code).toBe('PEFT_TARGET_UNSUPPORTED');
    return true;
  }
};

const ADAPTER_TARGETS = TARGET_NAMES.filter((name) => name !== 'transformers.js');
const SETTINGS = [
  { rank: 4 },
  { rank: 48, rankPattern: { q_proj: 4 } },
  { rank: 600 },
  { dora: true },
  { bias: 'all' },
  { modulesToSave: ['lm_head'] },
  { trainableTokens: [1, 2] },
  { rank: 2, init: 'pissa' },
] as const;

test.each([
  // a fusion has a file of its own, and is nothing without its adapters
  ...allMethods
    .filter(({ format }) => format?.configFile === undefined)
    .map((method) => [method.name, method.exampleOptions ?? {}] as const),
  ...SETTINGS.map((options) => ['lora', options] as const),
])('%s %o', async (name, options) => {
  try {
    model.addAdapter('a', methodNamed(name, options));
  } catch (error) {
    // the method does not fit a model as small as this one, or reads a folder
    if (error instanceof PeftError) return;
    throw error;
  }
  const saved = join(folder, 'saved');
  await saveAdapter(model, 'a', saved, { allowUntrained: true });
  for (const { target, loads } of checkAdapter(saved))
    if (target !== 'transformers.js') expect(refuses(target), target).toBe(!loads);
});

test('reasons and advice are those of the table, and what to mind is told', () => {
  model.addAdapter('a', methodNamed('lora', { rank: 48 }));
  const told: string[] = [];
  loadableBy('vllm', (sentence) => told.push(sentence))(model);
  expect(told).toEqual([
    'vllm: rank 48 is over its default of 16; start it with --max-lora-rank 64',
  ]);
  model.addAdapter('b', methodNamed('lora', { dora: true }));
  expect(() => loadableBy('mlx')(model)).toThrow(
    'mlx would not load this adapter: the adapter is DoRA (use_dora).',
  );
  model.setActiveAdapters('a', 'b');
  expect(ADAPTER_TARGETS.map(refuses)).toEqual(ADAPTER_TARGETS.map(() => true));
  expect(() => loadableBy('vlm')).toThrow('vllm');
});

test('a target that takes merged models alone asks for what merges', () => {
  model.addAdapter('a', methodNamed('ia3'));
  expect(() => loadableBy('transformers.js')(model)).not.toThrow();
  model.addAdapter('b', methodNamed('prefix-tuning'));
  expect(() => loadableBy('transformers.js')(model)).toThrow(
    expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
  );
});
