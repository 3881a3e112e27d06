import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrainEvent } from '@peft/core';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  PeftPredictor,
  type FitOptions,
  type PredictorData,
  type PredictorOptions,
  type TaskName,
} from '../src/index.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));
const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% if " +
  "message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if " +
  'add_generation_prompt %}<assistant>{% endif %}';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-tasks-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A few steps on a model with random weights. */
const quick = (model: string) => ({
  'model.hf_text.checkpoint_name': fixture(model),
  'model.hf_text.max_text_len': 48,
  'model.hf_text.max_target_len': 12,
  'optim.lr': 2e-2,
  'optim.max_epochs': 4,
  'env.batch_size': 4,
  'env.per_gpu_batch_size': 2,
  'env.engine': 'portable' as const,
});

function predictorOf(task: TaskName, model: string, options: Partial<PredictorOptions> = {}) {
  const predictor = new PeftPredictor({
    task,
    ...options,
    hyperparameters: { ...quick(model), ...(options.hyperparameters as object | undefined) },
  });
  const events: TrainEvent[] = [];
  predictor.listen((event) => events.push(event));
  return { predictor, events };
}

const NOUNS = ['cat', 'dog', 'bird', 'fish', 'horse', 'mouse', 'sheep', 'goat', 'duck', 'hen'];
const sentences = NOUNS.map((noun) => ({ text: `The ${noun} sleeps in the house.` }));
const completions = NOUNS.map((noun) => ({ prompt: `A ${noun} says`, completion: ' hello' }));
const chats = NOUNS.map((noun) => ({
  messages: [
    { role: 'user', content: `Who is the ${noun}?` },
    { role: 'assistant', content: 'A friend.' },
  ],
}));
const pairs = NOUNS.map((noun) => ({ source: `two ${noun}`, target: `${noun} ${noun}` }));
const tagged = NOUNS.map((noun) => ({
  tokens: ['the', noun, 'of', 'London'],
  tags: ['O', 'B-ANIMAL', 'O', 'B-LOC'],
}));
const similar = NOUNS.map((noun) => ({ anchor: `the ${noun}`, positive: `a ${noun} here` }));

/** Rows of a fit with their own rows as validation. */
const fitted = (predictor: PeftPredictor, rows: PredictorData, options: FitOptions = {}) =>
  predictor.fit(rows, { tuningData: rows, ...options });

describe('a causal language model', () => {
  it('learns plain texts in packed rows, is scored by perplexity, and writes on', async () => {
    await tf.ready();
    const before = tf.memory().numTensors;
    const path = join(folder, 'lm');
    const { predictor, events } = predictorOf('causal-lm', 'llama', { path });
    await fitted(predictor, sentences);
    expect(predictor.task).toBe('causal-lm');
    expect(predictor.evalMetricName).toBe('perplexity');
    expect(predictor.fitSummary().method).toBe('lora');
    const started = events.find((event) => event.type === 'run/started')!;
    expect(started).toMatchObject({ plannedEpochs: 4 });
    const steps = events.flatMap((event) => (event.type === 'step/completed' ? [event] : []));
    expect(steps.length).toBeLessThan(4 * Math.ceil(sentences.length / 4)); // several texts share a row of 48 tokens
    const scores = await predictor.evaluate(sentences);
    expect(scores['perplexity']).toBeCloseTo(predictor.fitSummary().validationScore, 4);
    expect(scores['perplexity']).toBeLessThan(460); // of a guess among the vocabulary's tokens
    const texts = await predictor.predict<string>([{ text: 'The cat' }]);
    expect(typeof texts[0]).toBe('string');
    expect(await predictor.predict(predictor.rowsOfTexts(['The cat']))).toEqual(texts);
    await expect(predictor.evaluate(sentences, { metrics: 'rougeL' })).rejects.toMatchObject({
      code: 'PEFT_METRIC_INPUT_INVALID',
    });
    await expect(predictor.predictProba([{ text: 'x' }])).rejects.toMatchObject({
      code: 'PEFT_PROBLEM_TYPE',
    });
    predictor.dispose();

    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(loaded.task).toBe('causal-lm');
    expect(await loaded.predict([{ text: 'The cat' }])).toEqual(texts);
    expect(await loaded.evaluate(sentences)).toEqual(scores);
    loaded.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('reads plain text files, a text per paragraph', async () => {
    const file = join(folder, 'texts.txt');
    writeFileSync(file, sentences.map(({ text }) => text).join('\n\n'));
    const { predictor } = predictorOf('causal-lm', 'llama', {
      hyperparameters: { 'optim.max_steps': 1 },
    });
    await predictor.fit(file);
    expect(predictor.fitSummary().trainingRows).toBe(8); // of 10, 20 % held out
    predictor.dispose();
  });

  it('learns completions under other names of columns, and compares what it writes', async () => {
    const rows = completions.map(({ prompt, completion }) => ({
      question: prompt,
      answer: completion,
    }));
    const { predictor } = predictorOf('causal-lm', 'llama', {
      columnRoles: { prompt: 'question', completion: 'answer' },
      evalMetric: 'exact_match',
      hyperparameters: { 'optim.peft': null, 'optim.max_epochs': 12 },
    });
    await fitted(predictor, rows);
    expect(predictor.fitSummary()).toMatchObject({
      metric: 'exact_match',
      validationScore: 1,
      reason: 'stopped-early',
    });
    expect(
      await predictor.predict([{ question: 'A cat says' }, { question: 'A hen says' }]),
    ).toEqual([' hello', ' hello']);
    const { scores, predictions } = await predictor.evaluate(rows, {
      metrics: ['rougeL', 'perplexity'],
      returnPredictions: true,
    });
    expect(scores['rougeL']).toBe(1);
    expect(predictions).toHaveLength(rows.length);
    predictor.dispose();
  });

  it("learns the answers of conversations by the checkpoint's own chat template, which is saved along", async () => {
    const model = join(folder, 'model');
    cpSync(fixture('llama'), model, { recursive: true });
    writeFileSync(join(model, 'chat_template.jinja'), CHAT_TEMPLATE);
    const path = join(folder, 'chat');
    const { predictor } = predictorOf('causal-lm', 'llama', {
      path,
      hyperparameters: {
        'model.hf_text.checkpoint_name': model,
        'optim.peft': null,
        'optim.max_epochs': 12,
        'optim.lr': 1e-2,
      },
    });
    await fitted(predictor, chats);
    const questions = [{ messages: [{ role: 'user', content: 'Who is the cat?' }] }];
    expect(await predictor.predict(questions)).toEqual(['A friend.']);
    expect(await predictor.evaluate(chats, { metrics: ['exact_match'] })).toEqual({
      exact_match: 1,
    });
    predictor.dispose();
    expect(readdirSync(join(path, 'model'))).toContain('chat_template.jinja');
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(loaded.rowsOfTexts(['Who is the cat?']))).toEqual(['A friend.']);
    loaded.dispose();
  });

  it('names the setting for templates that rewrite earlier turns', async () => {
    const model = join(folder, 'rewriting');
    cpSync(fixture('llama'), model, { recursive: true });
    writeFileSync(
      join(model, 'chat_template.jinja'),
      "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] if " +
        "loop.last else '…' }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif " +
        '%}',
    );
    const long = chats.map(({ messages }) => ({ messages: [...messages, ...messages] }));
    const settings = { 'model.hf_text.checkpoint_name': model, 'optim.max_steps': 1 };
    const { predictor } = predictorOf('causal-lm', 'llama', { hyperparameters: settings });
    await expect(fitted(predictor, long)).rejects.toMatchObject({
      code: 'PEFT_CHAT_TURNS',
      message: expect.stringContaining('--set data.chat_answers=last') as string,
    });
    predictor.dispose();
  });

  it('says what is missing for conversations without a chat template', async () => {
    const { predictor } = predictorOf('causal-lm', 'llama', { path: join(folder, 'x') });
    const before = tf.memory().numTensors;
    await expect(fitted(predictor, chats)).rejects.toMatchObject({
      code: 'PEFT_CHAT_TEMPLATE_MISSING',
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(readdirSync(folder)).toEqual([]);
    predictor.dispose();
  });
});

describe('an encoder-decoder', () => {
  it('learns targets from sources, and writes them', async () => {
    const path = join(folder, 'pairs');
    const { predictor } = predictorOf('seq2seq', 't5', {
      path,
      evalMetric: 'rougeL',
      hyperparameters: { 'optim.max_epochs': 2 },
    });
    await fitted(predictor, pairs);
    const { scores, predictions } = await predictor.evaluate<string>(pairs, {
      metrics: ['rougeL', 'bleu', 'perplexity'],
      returnPredictions: true,
      writing: { beams: 2 },
    });
    expect(Object.keys(scores)).toEqual(['rougeL', 'bleu', 'perplexity']);
    expect(predictions).toHaveLength(pairs.length);
    const written = await predictor.predict([{ source: 'two cat' }]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict([{ source: 'two cat' }])).toEqual(written);
    loaded.dispose();
  });
});

describe('token classification', () => {
  it('tags words, and is scored by the F1 of entities', async () => {
    const path = join(folder, 'tags');
    const { predictor } = predictorOf('token-classification', 'bert', {
      path,
      hyperparameters: {
        'optim.lr_choice': 'single_stage',
        'optim.max_epochs': 30,
        'optim.lr': 1e-2,
      },
    });
    await fitted(predictor, tagged);
    expect(predictor.evalMetricName).toBe('entity_f1');
    expect(await predictor.evaluate(tagged)).toEqual({ entity_f1: 1 });
    expect(
      await predictor.predict([
        { tokens: ['the', 'cat', 'of', 'London'] },
        { tokens: 'the hen of London' },
      ]),
    ).toEqual([
      ['O', 'B-ANIMAL', 'O', 'B-LOC'],
      ['O', 'B-ANIMAL', 'O', 'B-LOC'],
    ]);
    await expect(predictor.evaluate([{ tokens: ['a'], tags: ['B-ANIMEL'] }])).rejects.toMatchObject(
      {
        code: 'PEFT_TAGS_INVALID',
        message: expect.stringContaining('Did you mean "B-ANIMAL"') as string,
      },
    );
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.evaluate(tagged)).toEqual({ entity_f1: 1 });
    loaded.dispose();
  });
});

describe('embeddings', () => {
  it('bring texts together that belong together', async () => {
    const path = join(folder, 'embeddings');
    const { predictor } = predictorOf('embeddings', 'bert', {
      path,
      hyperparameters: { 'env.batch_size': 10, 'env.per_gpu_batch_size': 10 },
    });
    await fitted(predictor, similar);
    expect(predictor.fitSummary().metric).toBe('mean_reciprocal_rank');
    const [embedding] = await predictor.predict<Float32Array>([{ anchor: 'the cat' }]);
    expect(embedding!.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
    expect(await predictor.extractEmbedding([{ anchor: 'the cat' }])).toEqual([embedding]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict([{ anchor: 'the cat' }])).toEqual([embedding]);
    loaded.dispose();
  });
});

describe('a run of any task', () => {
  it('that is stopped goes on to the same predictions', async () => {
    const fit = async (name: string, stopAt: number | undefined, resume = false) => {
      const { predictor } = predictorOf('causal-lm', 'llama', { path: join(folder, name) });
      const controller = new AbortController();
      predictor.listen(
        (event) => event.type === 'step/completed' && event.step === stopAt && controller.abort(),
      );
      const error: unknown = await fitted(predictor, completions, {
        resume,
        signal: controller.signal,
      }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const scores = error ? undefined : await predictor.evaluate(completions);
      predictor.dispose();
      return { error, scores };
    };
    const whole = await fit('whole', undefined);
    expect((await fit('stopped', 3)).error).toMatchObject({ code: 'PEFT_RUN_ABORTED' });
    expect((await fit('stopped', undefined, true)).scores).toEqual(whole.scores);
  });
});

describe('wrong columns and options are named', () => {
  const refusal = async (
    task: TaskName,
    rows: PredictorData,
    options: Partial<PredictorOptions> = {},
  ): Promise<{ code: string; message: string }> => {
    const { predictor } = predictorOf(task, 'llama', options);
    const error: unknown = await predictor.fit(rows).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    predictor.dispose();
    return error as { code: string; message: string };
  };

  it('columns that a task lacks, and how to name them', async () => {
    const error = await refusal('seq2seq', [{ input: 'a', output: 'b' }]);
    expect(error).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining(
        'seq2seq learns from the columns source, target. rows has "input", "output".',
      ) as string,
    });
    expect(error.message).toContain('--map source=COLUMN target=COLUMN');
    expect(await refusal('causal-lm', [{ txt: 'a' }])).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('prompt, completion; or') as string,
    });
    expect(
      await refusal('causal-lm', completions, {
        columnRoles: { prompt: 'prompt', completion: 'compleetion' },
      }),
    ).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"completion"') as string,
    });
    expect(
      await refusal('causal-lm', completions, { columnRoles: { promt: 'prompt' } }),
    ).toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
      message: expect.stringContaining('"prompt"') as string,
    });
  });

  it('cells that are no conversation, list or text', async () => {
    expect(await refusal('causal-lm', [{ messages: 'hello' }])).toMatchObject({
      code: 'PEFT_DATA_INVALID',
      message: expect.stringContaining('row 0') as string,
    });
    expect(
      await refusal('seq2seq', [
        { source: 'a', target: null },
        { source: 'b', target: 'c' },
      ]),
    ).toMatchObject({ code: 'PEFT_DATA_INVALID' });
    expect(
      await refusal('token-classification', [
        { tokens: ['a', 'b'], tags: ['O'] },
        { tokens: ['a'], tags: ['B-X'] },
      ]),
    ).toMatchObject({ code: 'PEFT_TAGS_INVALID' });
    expect(
      await refusal('token-classification', [{ tokens: ['a', 'b'], tags: ['O', 'O'] }]),
    ).toMatchObject({ code: 'PEFT_TAGS_INVALID' });
  });

  it('a metric of another task, and a model of another kind', async () => {
    expect(await refusal('causal-lm', completions, { evalMetric: 'rogueL' })).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
      message: expect.stringContaining('rougeL') as string,
    });
    expect(await refusal('token-classification', tagged, { evalMetric: 'mcc' })).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
    });
    expect(
      await refusal('causal-lm', completions, {
        hyperparameters: { 'model.hf_text.checkpoint_name': fixture('bert') },
      }),
    ).toMatchObject({ code: 'PEFT_MODEL_HEAD' });
  });

  it('options of another task', () => {
    expect(() => new PeftPredictor({ task: 'causal-ml' as never })).toThrow(/causal-lm/);
    expect(() => new PeftPredictor({ task: 'causal-lm', label: 'x' })).toThrow(/no label column/);
    expect(() => new PeftPredictor({ label: 'x', columnRoles: { prompt: 'x' } })).toThrow(
      /columnRoles/,
    );
    expect(() => new PeftPredictor({})).toThrow(/label/);
    expect(
      () => new PeftPredictor({ task: 'regression', label: 'x', problemType: 'binary' }),
    ).toThrow(/problemType/);
  });
});
