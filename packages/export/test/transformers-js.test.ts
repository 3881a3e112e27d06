import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadLanguageModel, loadTrainedModel, type LanguageModel } from '@peft/predictor';
import { toBeAllclose, useTemporaryFolder } from '@peft/testing';
import { describe, expect, test } from 'vitest';
import { exportModel } from '../src/index.js';
import { fixtureAdapter, fixtureModel } from './fixtures.js';
import { checkpoint, oursOf } from './onnx-checkpoints.js';
import { openTransformers } from './onnx-runtime.js';

expect.extend({ toBeAllclose });
const engine = 'portable';
const to = 'onnx';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const transformers = await openTransformers();
describe.skipIf(!transformers)('transformers.js (skipped where npm has not brought it)', () => {
  const piped = (task: string, name: string) => {
    transformers!.env.allowRemoteModels = false;
    transformers!.env.localModelPath = folder;
    return transformers!.pipeline(task, name);
  };

  test.each([
    ['fp32', 5],
    ['fp16', 2],
    ['q8', 1],
  ] as const)('has the labels and probabilities of a classifier in %s', async (type, digits) => {
    const name = `labels-${type}`;
    await exportModel(fixtureModel('bert'), { to, type, output: join(folder, name), engine });
    const classify = await piped('text-classification', name);
    const source = await loadTrainedModel(fixtureModel('bert'), { engine });
    try {
      for (const text of ['Hello world, 123', 'the cat sat on the mat']) {
        const [logits] = oursOf(source, [source.base.tokenizer.encode(text).ids]);
        const shares = tf.tidy(() => tf.softmax(tf.tensor1d(logits!)).dataSync());
        const best = shares.indexOf(Math.max(...shares));
        const [found] = await classify(text);
        expect(found).toMatchObject({ label: `LABEL_${best}` });
        expect(found!['score']).toBeCloseTo(shares[best]!, digits);
      }
    } finally {
      source.dispose();
    }
  });

  test('has the tags of each token', async () => {
    const base = checkpoint(folder, 'bert', 'ForTokenClassification');
    await exportModel(base, { to, output: join(folder, 'tags'), engine });
    const tag = await piped('token-classification', 'tags');
    const source = await loadTrainedModel(base, { engine });
    try {
      const text = 'Hello world, 123';
      const { ids } = source.base.tokenizer.encode(text);
      const [logits] = oursOf(source, [ids]);
      const width = logits!.length / ids.length;
      const best = ids.map((_, t) => {
        const row = [...logits!.slice(t * width, (t + 1) * width)];
        return `LABEL_${row.indexOf(Math.max(...row))}`;
      });
      const found = await tag(text, { ignore_labels: [] });
      expect(found.map(({ entity }) => entity)).toEqual(best.slice(1, -1)); // without [CLS], [SEP]
    } finally {
      source.dispose();
    }
  });

  test('has the mean state of a text', async () => {
    const base = checkpoint(folder, 'bert', 'Model');
    await exportModel(base, { to, output: join(folder, 'states'), engine });
    const extract = await piped('feature-extraction', 'states');
    const source = await loadTrainedModel(base, { engine });
    try {
      const { ids } = source.base.tokenizer.encode('the cat sat');
      const [states] = oursOf(source, [ids]);
      const mean = tf.tidy(() =>
        tf.tensor2d(states!, [ids.length, 48]).mean(0).dataSync<'float32'>(),
      );
      const { data } = await extract('the cat sat', { pooling: 'mean' });
      expect(data).toBeAllclose(mean, { atol: 1e-5 });
    } finally {
      source.dispose();
    }
  });

  test.each([
    ['llama', undefined],
    ['qwen3', 'lora_qwen3_trainable_tokens'],
    ['gpt2', undefined],
    ['qwen3_moe', undefined],
    ['gpt_oss', undefined],
    ['deepseek_v3', undefined],
  ] as const)('writes the text that %s with %s writes', async (name, given) => {
    const adapter = given && fixtureAdapter(given);
    const output = join(folder, `text-${name}`);
    // in files of their own, which the config tells of
    await exportModel(fixtureModel(name), { to, output, adapter, engine, maxShardBytes: 100_000 });
    const write = await piped('text-generation', `text-${name}`);
    const ours = await loadLanguageModel(fixtureModel(name), { engine, adapter });
    try {
      const prompt = 'Hello world, 123 the';
      const ids = [...ours.tokenizer.encode(prompt).ids];
      const start = ids.length;
      const end = ours.config['eos_token_id'];
      while (ids.length < start + 12 && ids.at(-1) !== end) ids.push(nextToken(ours, ids));
      const [found] = await write(prompt, {
        max_new_tokens: 12,
        do_sample: false,
        return_full_text: false,
        add_special_tokens: true,
      });
      expect(found!['generated_text']).toBe(ours.tokenizer.decode(ids.slice(start)));
    } finally {
      ours.dispose();
    }
  });

  test.each(['t5', 'marian'] as const)('writes what %s makes of a text', async (name) => {
    const output = join(folder, `pair-${name}`);
    await exportModel(fixtureModel(name), { to, output, engine, maxShardBytes: 100_000 });
    const write = await piped('text2text-generation', `pair-${name}`);
    const source = await loadTrainedModel(fixtureModel(name), { engine });
    try {
      const { model, base } = source;
      const text = 'Hello world, 123';
      const inputIds = Int32Array.from(base.tokenizer.encode(text).ids);
      const ids = [base.config['decoder_start_token_id'] as number];
      for (let step = 0; step < 10 && ids.at(-1) !== base.config['eos_token_id']; step += 1)
        ids.push(
          tf.tidy(() => {
            const decoder = {
              inputIds: Int32Array.from(ids),
              offsets: Int32Array.of(0, ids.length),
            };
            const batch = { inputIds, offsets: Int32Array.of(0, inputIds.length), decoder };
            return model.forward(batch, { logitRows: 'last' }).logits!.argMax(1).dataSync()[0]!;
          }),
        );
      const [found] = await write(text, { max_new_tokens: 10, do_sample: false, num_beams: 1 });
      expect(found!['generated_text']).toBe(base.tokenizer.decode(ids));
    } finally {
      source.dispose();
    }
  });
});

/** The most probable one. */
const nextToken = ({ model }: LanguageModel, ids: readonly number[]): number =>
  tf.tidy(() => {
    const batch = { inputIds: Int32Array.from(ids), offsets: Int32Array.of(0, ids.length) };
    return model.forward(batch, { logitRows: 'last' }).logits!.argMax(1).dataSync()[0]!;
  });
