/**
 * What `fit` saves leaves in each format, or is refused by name: adapters that stand on others,
 * grown tables, heads.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { methodNamed } from '@peft/methods';
import { loadTrainedModel } from '@peft/predictor';
import { useTemporaryFolder } from '@peft/testing';
import { expect, test } from 'vitest';
import { checkAdapter, exportModel } from '../src/index.js';
import { fixtureModel } from './fixtures.js';
import { savedFolder } from './saved-folder.js';

const engine = 'portable';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const lora = methodNamed('lora', { rank: 2, targets: ['q_proj', 'v_proj'] });
const jsonOf = (path: string) =>
  JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;

test('an adapter on top of another is merged with it, and leaves alone nowhere', async () => {
  const first = await savedFolder(folder, 'first', 'causal-lm', 'qwen3', { method: lora });
  const path = await savedFolder(folder, 'stacked', 'causal-lm', 'qwen3', {
    method: lora,
    baseAdapter: first,
  });
  const { model, dispose } = await loadTrainedModel(path, { engine });
  expect(model.activeAdapters).toHaveLength(2);
  dispose();
  const output = join(folder, 'stacked-merged');
  const { deviation } = await exportModel(path, { to: 'safetensors', output, engine });
  expect(deviation!.relative).toBeLessThan(1e-5);
  for (const to of ['gguf-lora', 'mlx']) {
    const place = join(folder, `stacked-${to}`);
    await expect(exportModel(path, { to, output: place, engine })).rejects.toMatchObject({
      code: 'PEFT_EXPORT_UNSUPPORTED',
      message: expect.stringContaining('stands on another') as string,
    });
    expect(existsSync(place)).toBe(false);
  }
  for (const place of [path, join(path, 'adapter')])
    expect(checkAdapter(place).filter(({ loads }) => loads)).toEqual([]);
  expect(checkAdapter(first, 'peft')[0]!.loads).toBe(true);
});

test("the adapter of a saved folder leaves beside its base's name", async () => {
  const path = await savedFolder(folder, 'alone', 'causal-lm', 'qwen3', { method: lora });
  const output = join(folder, 'alone.gguf');
  const adapter = { to: 'gguf-lora', adapter: path, output, engine } as const;
  const { files } = await exportModel(fixtureModel('qwen3'), adapter);
  expect(files).toEqual([{ name: 'alone.gguf', bytes: expect.any(Number) as number }]);
  await expect(
    exportModel(fixtureModel('qwen3'), { ...adapter, output: `${output}.no`, baseModel: path }),
  ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
  await expect(
    exportModel(path, { to: 'gguf', output: `${output}.no`, engine, maxShardBytes: 1000 }),
  ).rejects.toThrow('gguf has no shards');
});

test('a grown table leaves whole', async () => {
  const path = await savedFolder(folder, 'grown', 'causal-lm', 'llama', {
    method: lora,
    settings: { 'data.added_tokens': ['<new>', '<other>'] },
  });
  const output = join(folder, 'grown-merged');
  const { deviation } = await exportModel(path, { to: 'safetensors', output, engine });
  expect(deviation!.relative).toBeLessThan(1e-5);
  expect(jsonOf(output)['vocab_size']).toBe(
    (jsonOf(fixtureModel('llama'))['vocab_size'] as number) + 2,
  );
  expect(readFileSync(join(output, 'tokenizer.json'), 'utf8')).toContain('<other>');
});

test.each([
  ['multi-label-classification', 2],
  ['ranking', 1],
] as const)(
  'a model for %s keeps its own head and how its logits are read',
  async (task, labels) => {
    const path = await savedFolder(folder, task, task, 'qwen3', {});
    const output = join(folder, `${task}-merged`);
    const { deviation } = await exportModel(path, { to: 'safetensors', output, engine });
    expect(deviation!.relative).toBeLessThan(1e-5);
    const config = jsonOf(output);
    expect(config).toMatchObject({ architectures: ['Qwen3ForSequenceClassification'] });
    expect(Object.keys(config['id2label'] as object)).toHaveLength(labels);
    expect(config['problem_type']).toBe(
      task === 'ranking' ? undefined : 'multi_label_classification',
    );
  },
);

test('a head that transformers does not have is told with what it reads', async () => {
  const path = await savedFolder(folder, 'mean', 'ranking', 'bert', {
    settings: { 'model.hf_text.pooling_mode': 'mean' },
  });
  const output = join(folder, 'mean-merged');
  const { warnings } = await exportModel(path, { to: 'safetensors', output, engine });
  expect(warnings.join()).toContain('one linear layer on the mean over the tokens');
  expect(readFileSync(join(output, 'README.md'), 'utf8')).toContain(
    'hidden state, of the mean over the tokens',
  );
  expect(readdirSync(output)).toContain('model.safetensors');
});

test('the number of dimensions that embeddings are cut to leaves with the model', async () => {
  const path = await savedFolder(folder, 'short', 'embeddings', 'bert', {
    settings: { 'model.hf_text.truncate_dim': 8 },
  });
  const output = join(folder, 'short-merged');
  await exportModel(path, { to: 'safetensors', output, engine });
  const file = join(output, 'config_sentence_transformers.json');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ truncate_dim: 8 });
  const pooling = JSON.parse(readFileSync(join(output, '1_Pooling/config.json'), 'utf8')) as object;
  expect(pooling).toMatchObject({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: false });
  expect(readdirSync(output)).toContain('modules.json');
});
