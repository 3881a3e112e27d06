/** Adapters that learn several tasks at once: which one a row is of, from a column to a saved folder. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { poly } from '@peft/low-rank';
import { generateTexts } from '@peft/generation';
import { multitaskPromptTuning } from '@peft/prompt-tuning';
import { useTemporaryFolder } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { loadLanguageModel, PeftPredictor, type PredictorOptions } from '../src/index.js';
import { fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

/** The same texts twice: what is "pos" in task 0 is "neg" in task 1. */
const rows = NOUNS.slice(0, 4).flatMap((noun, i) =>
  [0, 1].map((task) => ({
    text: `a ${noun}`,
    label: (i + task) % 2 ? 'pos' : 'neg',
    task,
  })),
);
const ONE_EPOCH = { 'optim.max_epochs': 1 };
const TASKS = { tasks: 2, skills: 2, rank: 2 } as const;

const classifier = (options: Partial<PredictorOptions> = {}) =>
  predictorOf('classification', 'bert', {
    label: 'label',
    taskIdColumn: 'task',
    ...options,
  }).predictor;

test('a classifier tells the tasks of its rows apart, saved and loaded, and refuses what is none', async () => {
  await tf.ready();
  const before = tf.memory().numTensors;
  const path = join(folder, 'poly');
  const predictor = classifier({
    path,
    hyperparameters: { 'optim.max_epochs': 12, 'optim.lr': 5e-2 },
  });
  const fit = { textColumns: ['text'], method: poly({ ...TASKS, initWeights: false }) };
  await fitted(predictor, rows, fit);
  const [zero, one] = await predictor.predictProba([
    { text: 'a cat', task: 0 },
    { text: 'a cat', task: 1 },
  ]);
  expect(Math.abs(zero![1]! - one![1]!)).toBeGreaterThan(1e-3);
  const alone = await predictor.predictProba(predictor.rowsOfTexts(['a cat'], 1));
  expect([...alone[0]!]).toEqual([...one!]);
  expect(() => predictor.rowsOfTexts(['a cat'])).toThrow(
    'texts alone do not say which task they are of',
  );
  await expect(predictor.predict([{ text: 'a cat', task: 2 }])).rejects.toThrow(
    'row 0 of rows must name a task from 0 to 1 in the column "task", got 2',
  );
  expect(predictor.textColumns).toEqual(['text', 'task']);
  const scores = await predictor.evaluate(rows);
  predictor.dispose();

  const loaded = await PeftPredictor.load(path, { engine: 'portable' });
  expect(await loaded.evaluate(rows)).toEqual(scores);
  await expect(loaded.predict([{ text: 'a cat' }])).rejects.toMatchObject({
    code: 'PEFT_COLUMN_MISSING',
  });
  loaded.dispose();
  expect(tf.memory().numTensors).toBe(before);

  const record = join(path, 'predictor.json');
  const json = JSON.parse(readFileSync(record, 'utf8')) as { task: { taskIdColumn?: string } };
  expect(json.task.taskIdColumn).toBe('task');
  delete json.task.taskIdColumn;
  writeFileSync(record, JSON.stringify(json));
  const forgetful = await PeftPredictor.load(path, { engine: 'portable' });
  await expect(forgetful.predict([{ text: 'a cat' }])).rejects.toMatchObject({
    code: 'PEFT_TASK_ID_MISSING',
  });
  forgetful.dispose();
});

test('a language model writes by the task of each prompt, alone and among others', async () => {
  const path = join(folder, 'prompts');
  const { predictor } = predictorOf('causal-lm', 'llama', {
    path,
    taskIdColumn: 'task',
    hyperparameters: { 'optim.max_epochs': 3, 'optim.lr': 0.5 },
  });
  const texts = NOUNS.slice(0, 5).flatMap((noun) => [
    { text: `the ${noun} sings`, task: 0 },
    { text: `the ${noun} sleeps in the house`, task: 1 },
  ]);
  await fitted(predictor, texts, { method: multitaskPromptTuning({ virtualTokens: 2, tasks: 2 }) });
  const asked = [0, 1].map((task) => ({ text: 'the cat', task }));
  const [zero, one] = await predictor.predict<string>(asked);
  expect(zero).not.toBe(one);
  expect(await predictor.predict<string>([asked[1]!])).toEqual([one]);
  predictor.dispose();

  const language = await loadLanguageModel(path, { engine: 'portable' });
  const { model, tokenizer, ends } = language;
  const write = async (taskIds?: readonly number[], more = {}) => {
    const options = { ...ends, maxNewTokens: 12, taskIds, ...more };
    const made = await generateTexts(model, tokenizer, ['the cat', 'the cat'], options);
    return made.map(({ text }) => text);
  };
  expect(await write([0, 1])).toEqual([zero, one]);
  expect(await write([1, 1], { beams: 2 })).toHaveLength(2);
  await expect(write()).rejects.toThrow('the adapter learnt 2 tasks');
  await expect(write([0, 2])).rejects.toThrow('task 2 was named, and the adapter has tasks 0 to 1');
  await expect(write([0])).rejects.toThrow('1 task ids were given for 2 prompts');
  model.setActiveAdapters();
  await expect(write([0, 0])).rejects.toMatchObject({ code: 'PEFT_TASK_ID_UNUSED' });
  language.dispose();
});

test.each([
  [rows, { taskIdColumn: undefined }, 'the adapter has 2 tasks, and no column says'],
  [rows.map((row) => ({ ...row, task: null })), {}, 'row 0 of rows names no task in the column'],
  [rows.map((row, i) => ({ ...row, task: i - 1 })), {}, 'row 0 .*from 0 to 1 .*got -1'],
  [rows.map((row, i) => ({ ...row, task: i / 2 })), {}, 'row 1 .*from 0 to 1 .*got 0.5'],
  [rows.map((row) => ({ ...row, task: 2 })), {}, 'row 0 .*from 0 to 1 .*got 2'],
  [rows, { taskIdColumn: 'label' }, '"label" of task ids is read for something else'],
  [rows, { hyperparameters: { 'optim.peft': 'lora' } }, 'a task was named, and no adapter'],
] as const)(
  'a fit refuses what it cannot do before it trains (%#)',
  async (data, options, message) => {
    const { hyperparameters, ...rest } = options as Partial<PredictorOptions>;
    const predictor = classifier({
      ...rest,
      hyperparameters: { ...ONE_EPOCH, ...(hyperparameters as object | undefined) },
    });
    const method = hyperparameters ? undefined : poly(TASKS);
    await expect(fitted(predictor, data, { textColumns: ['text'], method })).rejects.toThrow(
      new RegExp(message),
    );
    predictor.dispose();
  },
);

test('tasks without a use for them refuse the column', async () => {
  const { predictor } = predictorOf('embeddings', 'bert', { taskIdColumn: 'task' });
  const pairs = NOUNS.map((noun) => ({ anchor: noun, positive: `a ${noun}`, task: 0 }));
  await expect(fitted(predictor, pairs)).rejects.toThrow('embeddings reads no task ids');
  predictor.dispose();
});

test.each([
  [
    'token-classification',
    'bert',
    NOUNS.slice(0, 4).map((noun, i) => ({
      tokens: ['a', noun],
      tags: ['O', i % 2 ? 'X' : 'Y'],
      task: i % 2,
    })),
  ],
  [
    'seq2seq',
    't5',
    NOUNS.slice(0, 4).map((noun, i) => ({ source: noun, target: `a ${noun}`, task: i % 2 })),
  ],
  [
    'causal-lm',
    'llama',
    NOUNS.slice(0, 4).map((noun, i) => ({ prompt: 'a', completion: noun, task: i % 2 })),
  ],
] as const)('%s hands the tasks of its rows on', async (task, model, data) => {
  const { predictor } = predictorOf(task, model, {
    taskIdColumn: 'task',
    hyperparameters: ONE_EPOCH,
  });
  await fitted(predictor, data, { method: poly(TASKS) });
  expect(await predictor.predict(data)).toHaveLength(data.length);
  predictor.dispose();
});
