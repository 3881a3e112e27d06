/** Tokens that a checkpoint has no rows for: from the tokenizer's files, or asked for. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrainEvent } from '@peft/core';
import { loadTokenizer } from '@peft/data';
import { openSafetensors } from '@peft/hub';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadLanguageModel, PeftPredictor, type PredictorOptions } from '../src/index.js';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures/models', import.meta.url));
let folder: string;
let grownBert: string;
const brands = Array.from({ length: 12 }, (_, n) => ({
  label: n % 2 ? 'a' : 'b',
  text: `we buy ${n % 2 ? '<brand>' : '<place>'} number ${n}`,
}));
const chats = Array.from({ length: 6 }, (_, n) => ({ text: `say <go> ${n} and <stop>` }));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-vocabulary-'));
  grownBert = join(folder, 'bert');
  cpSync(join(FIXTURES, 'bert'), grownBert, { recursive: true });
  const path = join(grownBert, 'tokenizer.json');
  const json = JSON.parse(readFileSync(path, 'utf8')) as { added_tokens: object[] };
  ['<brand>', '<place>'].forEach((content, n) =>
    json.added_tokens.push({ id: 620 + n, content, special: true, normalized: false }),
  );
  writeFileSync(path, JSON.stringify(json));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function fit(
  rows: readonly object[],
  options: PredictorOptions,
  settings: Record<string, unknown>,
  name: string,
) {
  const path = join(folder, name);
  const predictor = new PeftPredictor({ ...options, path });
  const codes: string[] = [];
  predictor.listen((event: TrainEvent) => {
    if (event.type === 'run/warned') codes.push(event.code);
  });
  let score: Readonly<Record<string, unknown>>;
  try {
    await predictor.fit(rows, {
      tuningData: rows,
      hyperparameters: {
        'optim.peft': 'lora',
        'optim.lr': 1e-2,
        'optim.max_steps': 2,
        'env.batch_size': 6,
        'env.engine': 'portable',
        ...settings,
      },
    });
    score = await predictor.evaluate(rows);
  } finally {
    predictor.dispose();
  }
  const config = JSON.parse(
    readFileSync(join(path, 'adapter/adapter_config.json'), 'utf8'),
  ) as Record<string, unknown>;
  return { path, codes, config, score, shapes: shapesOf(path) };
}

function shapesOf(path: string): Readonly<Record<string, readonly number[]>> {
  const [file] = readdirSync(join(path, 'adapter')).filter((each) => each.endsWith('tensors'));
  const store = openSafetensors(join(path, 'adapter', file!));
  const shapes = store.names().map((key) => [key, store.get(key)!.shape] as const);
  store.close();
  return Object.fromEntries(shapes);
}

const delta = (module: string): string =>
  `base_model.model.${module}.token_adapter.trainable_tokens_delta`;

it('tokens of the texts that lie beyond the table get rows, which train and are saved', async () => {
  const base = { 'model.hf_text.checkpoint_name': grownBert };
  const made = await fit(brands, { label: 'label' }, base, 'brands');
  expect(made.codes).toContain('PEFT_VOCABULARY_GREW');
  expect(made.config['trainable_token_indices']).toEqual({
    'embeddings.word_embeddings': [620, 621],
  });
  expect(made.shapes[delta('embeddings.word_embeddings')]).toEqual([2, 48]);
  const loaded = await PeftPredictor.load(made.path, { engine: 'portable' });
  const [brand, place] = await loaded.predictProba(
    ['<brand>', '<place>'].map((word) => ({ text: `we buy ${word} number 1` })),
  );
  loaded.dispose();
  expect(brand![0]).not.toBeCloseTo(place![0]!, 5);
});

it('a tokenizer with more tokens than the texts need leaves the table alone', async () => {
  const base = { 'model.hf_text.checkpoint_name': grownBert };
  const rows = brands.map(({ label }, n) => ({ label, text: `we buy number ${n}` }));
  const { codes, config } = await fit(rows, { label: 'label' }, base, 'no brands');
  expect(codes).not.toContain('PEFT_VOCABULARY_GREW');
  expect(config['trainable_token_indices']).toBeNull();
});

it('a method without rows trains and saves the table whole, and says so', async () => {
  const settings = { 'model.hf_text.checkpoint_name': grownBert, 'optim.peft': 'ia3' };
  const { path, codes, shapes } = await fit(brands, { label: 'label' }, settings, 'ia3');
  expect(codes).toContain('PEFT_TABLE_TRAINS_WHOLE');
  expect(Object.values(shapes)).toContainEqual([622, 48]);
  const loaded = await PeftPredictor.load(path, { engine: 'portable' });
  expect(await loaded.predict(brands)).toHaveLength(brands.length);
  loaded.dispose();
});

// one whose tokens stand in front of the table, and one whose layout has no rows
it.each(['prompt-tuning', 'unipelt'])(
  '%s trains the tables of asked-for tokens whole, and answers the same once loaded',
  async (method) => {
    const settings = {
      'model.hf_text.checkpoint_name': join(FIXTURES, 'llama'),
      'data.added_tokens': ['<go>', '<stop>'],
      'optim.peft': method,
    };
    const { path, codes, score } = await fit(chats, { task: 'causal-lm' }, settings, method);
    expect(codes).toContain('PEFT_TABLE_TRAINS_WHOLE');
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect((await loaded.evaluate(chats))['loss']).toBe(score['loss']);
    loaded.dispose();
  },
);

it.each([
  { name: 'llama', modules: ['model.embed_tokens', 'lm_head'], rows: 462, padded: 512 },
  { name: 'qwen3', modules: ['model.embed_tokens'], rows: 442, padded: 448 },
])(
  'asked-for tokens of $name train in all tables, and the grown tokenizer is saved',
  async ({ name, modules, rows, padded }) => {
    const model = join(FIXTURES, name);
    const { vocabularySize } = loadTokenizer(model);
    const { path, shapes, config } = await fit(
      chats,
      { task: 'causal-lm' },
      {
        'model.hf_text.checkpoint_name': model,
        'data.added_tokens': ['<go>', '<stop>'],
        'model.hf_text.pad_vocabulary_to_multiple_of': 64,
      },
      name,
    );
    const ids = [vocabularySize, vocabularySize + 1];
    expect(config['trainable_token_indices']).toEqual(
      Object.fromEntries(modules.map((module) => [module, ids])),
    );
    for (const module of modules) expect(shapes[delta(module)]![0]).toBe(2);
    expect(vocabularySize + 2).toBe(rows);
    const language = await loadLanguageModel(path, { engine: 'portable' });
    const { tokenizer } = language;
    expect(language.model.description.vocabularySize).toBe(padded);
    expect(tokenizer.ids('<go><stop>')).toEqual(ids);
    expect(tokenizer.decode(ids)).toContain('<go>');
    language.dispose();
    // an adapter of a grown model brings its number of rows and its tokenizer along
    const again = await loadLanguageModel(model, { adapter: path, engine: 'portable' });
    expect(again.tokenizer.ids('<go><stop>')).toEqual(ids);
    expect(again.model.description.vocabularySize).toBe(rows);
    again.dispose();
  },
);
