import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lora } from '@peft/lora';
import { useTemporaryFolder } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { override } from '@peft/core';
import { PeftPredictor, SHARDED_BASE } from '../src/index.js';
import { completions, fitted, fixture, NOUNS, predictorOf } from './quick-tasks.js';

const CHAT_TEMPLATE =
  "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% if " +
  "message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if " +
  'add_generation_prompt %}<assistant>{% endif %}';
let folder: string;
useTemporaryFolder((path) => (folder = path));

const sentences = NOUNS.map((noun) => ({ text: `The ${noun} sleeps in the house.` }));
const chats = NOUNS.map((noun) => ({
  messages: [
    { role: 'user', content: `Who is the ${noun}?` },
    { role: 'assistant', content: 'A friend.' },
  ],
}));

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

  it('refuses, before it is loaded, to be scored by what it writes where ranks hold it together', async () => {
    const { predictor, events } = predictorOf('causal-lm', 'llama', {
      columnRoles: { prompt: 'prompt', completion: 'completion' },
      evalMetric: 'exact_match',
      modules: [override((bind) => bind(SHARDED_BASE, () => true))],
    });
    await expect(predictor.fit(completions)).rejects.toMatchObject({
      code: 'PEFT_SHARDS_UNSUPPORTED',
      message: expect.stringContaining(
        'exact_match looks at texts that the model writes',
      ) as string,
    });
    expect(events.some(({ type }) => type === 'weights/loaded')).toBe(false);
    predictor.dispose();
  });

  it('refuses, before it is loaded, to start from data where ranks hold it together', async () => {
    const { predictor, events } = predictorOf('causal-lm', 'llama', {
      modules: [override((bind) => bind(SHARDED_BASE, () => true))],
    });
    await expect(predictor.fit(sentences, { method: lora({ init: 'eva' }) })).rejects.toMatchObject(
      {
        code: 'PEFT_SHARDS_UNSUPPORTED',
        message: expect.stringContaining('lora starts from data') as string,
      },
    );
    expect(events.some(({ type }) => type === 'weights/loaded')).toBe(false);
    predictor.dispose();
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
