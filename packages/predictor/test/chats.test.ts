/** Chats of usual shapes, and rows that do not train, from data to saved predictor. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHAT_TEMPLATES } from '@peft/data';
import type { TrainEvent } from '@peft/core';
import { expect, it, onTestFinished } from 'vitest';
import { loadLanguageModel, PeftPredictor, type PredictorOptions } from '../src/index.js';

const model = (name: string): string =>
  fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));
const call = { type: 'function', function: { name: 'weather', arguments: '{}' } };
const turn = (question: string, answer: string) => [
  { role: 'user', content: question },
  { role: 'assistant', content: answer },
];

async function fit(
  rows: readonly object[],
  options: PredictorOptions,
  hyperparameters: Record<string, unknown> = {},
) {
  const warnings: Extract<TrainEvent, { type: 'run/warned' }>[] = [];
  const predictor = new PeftPredictor(options);
  onTestFinished(() => predictor.dispose());
  predictor.listen((event) => {
    if (event.type === 'run/warned') warnings.push(event);
  });
  await predictor.fit(rows, {
    tuningData: rows,
    hyperparameters: {
      'model.hf_text.checkpoint_name': model('llama'),
      'optim.peft': 'lora',
      'optim.max_epochs': 1,
      'env.engine': 'portable',
      ...hyperparameters,
    },
  });
  return { predictor, warnings, summary: predictor.fitSummary() };
}

it('a base model gets a template by name, which is saved and ends answers', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'peft-chats-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'out');
  const rows = [
    { messages: turn('one', 'two') },
    {
      messages: [
        { role: 'user', content: 'weather?' },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', content: '7' },
        { role: 'assistant', content: 'seven' },
      ],
      tools: [call],
      note: 'read by nothing',
    },
  ];
  const { warnings, summary } = await fit(
    rows,
    { task: 'causal-lm', path },
    { 'data.chat_template': 'llama3' },
  );
  expect(summary.trainingRows).toBe(2);
  const unused = warnings.filter(({ code }) => code === 'PEFT_COLUMN_UNUSED');
  expect(unused.map(({ message }) => message)).toEqual([
    'causal-lm reads messages, tools: note is not used.',
  ]);
  const saved = join(path, 'model/chat_template.jinja');
  expect(existsSync(saved) && readFileSync(saved, 'utf8')).toBe(CHAT_TEMPLATES['llama3']);
  const language = await loadLanguageModel(path, { engine: 'portable' });
  onTestFinished(() => language.dispose());
  const end = language.tokenizer.tokenToId('<|eot_id|>');
  expect(language.ends.endIds).not.toContain(end);
  if (end !== undefined) expect(language.chatEnds().endIds).toContain(end);
}, 120_000);

it('rows whose answer is cut off are counted once, with their numbers and the setting', async () => {
  const long = 'word '.repeat(80);
  const rows = [
    {
      conversations: [
        { from: 'human', value: 'one' },
        { from: 'gpt', value: 'two' },
      ],
    },
    {
      conversations: [
        { from: 'human', value: long },
        { from: 'gpt', value: 'two' },
      ],
    },
    {
      conversations: [
        { from: 'human', value: 'one' },
        { from: 'gpt', value: long },
      ],
    },
    { conversations: [{ from: 'human', value: 'no answer' }] },
  ];
  const { warnings, summary } = await fit(
    rows,
    { task: 'causal-lm' },
    { 'data.chat_template': 'alpaca', 'model.hf_text.max_text_len': 40 },
  );
  expect([summary.trainingRows, summary.validationRows]).toEqual([2, 2]);
  const told = warnings.filter(({ code }) => code === 'PEFT_ROWS_SKIPPED');
  expect(told.map(({ message, hint }) => [message, hint])).toEqual(
    ['training', 'validation'].map((kind) => [
      `${kind} data rows: 1 of 4 rows are left out, what counts in them lies beyond 40 tokens (row 1);` +
        ' 1 of 4 rows are left out, they have nothing to learn from (row 3);' +
        ' 1 of 4 rows lose what is beyond 40 tokens (row 2).',
      'raise model.hf_text.max_text_len (CLI: --set model.hf_text.max_text_len=N)',
    ]),
  );
}, 120_000);

it('tags without B- and I- are scored word by word', async () => {
  const rows = [
    { tokens: "['a', 'b']", tags: '[0 3]' },
    { tokens: 'c("c", "d")', tags: 'c(3, 0)' },
  ];
  const { summary } = await fit(rows, { task: 'token-classification' });
  expect(summary.metric).toBe('tag_accuracy');
  await expect(
    fit(rows, { task: 'token-classification', evalMetric: 'entity_f1' }),
  ).rejects.toMatchObject({ code: 'PEFT_METRIC_UNDEFINED' });
}, 120_000);

it('labels of one class have no ROC AUC, which is said before training', async () => {
  const rows = [
    { text: 'a fine day it is', label: 'x' },
    { text: 'a bad day it was', label: 'y' },
  ];
  const predictor = new PeftPredictor({ label: 'label', evalMetric: 'roc_auc' });
  onTestFinished(() => predictor.dispose());
  await expect(
    predictor.fit(rows, {
      tuningData: rows.slice(0, 1),
      hyperparameters: { 'model.hf_text.checkpoint_name': model('bert'), 'env.engine': 'portable' },
    }),
  ).rejects.toMatchObject({ code: 'PEFT_METRIC_UNDEFINED' });
});

it('what a template does not write of messages, unknown roles and empty answers are told once', async () => {
  const rows = [
    {
      messages: [
        { role: 'narrator', content: 'a scene' },
        { role: 'user', content: 'one', name: 'Ada' },
        { role: 'assistant', content: 'two', reasoning_content: 'one more' },
      ],
    },
    { messages: turn('three', ' ') },
  ];
  const { warnings } = await fit(rows, { task: 'causal-lm' }, { 'data.chat_template': 'chatml' });
  const told = warnings.map(({ code, message }) => `${code}: ${message}`);
  expect(told.filter((each) => each.startsWith('PEFT_CHAT_KEY') || each.includes('ROLE'))).toEqual([
    'PEFT_CHAT_KEY_UNUSED: the chat template does not write "name" of messages, so that it is not used.',
    'PEFT_CHAT_KEY_UNUSED: the chat template does not write "reasoning_content" of messages, so that it is not used.',
    'PEFT_CHAT_ROLE_UNKNOWN: turns of "narrator" are written as the chat template does, and never learnt.',
  ]);
  expect(told.filter((each) => each.includes('empty answer'))).toEqual([
    'PEFT_ROWS_CHANGED: training data rows: 1 of 2 rows have an empty answer, which is learnt (row 1).',
    'PEFT_ROWS_CHANGED: validation data rows: 1 of 2 rows have an empty answer, which is learnt (row 1).',
  ]);
}, 120_000);

it('prompts and completions of turns are a conversation, of which the completion is learnt', async () => {
  const asked = [...turn('one', 'two'), { role: 'user', content: 'three' }];
  const answer = [{ role: 'assistant', content: 'four' }];
  const plain = [{ messages: [...asked, ...answer] }];
  const settings = { 'data.chat_template': 'chatml', 'model.hf_text.max_target_len': 8 };
  const lossOf = async (rows: readonly object[], further: Record<string, unknown> = {}) => {
    const fitted = await fit(rows, { task: 'causal-lm' }, { ...settings, ...further });
    return { ...fitted, loss: fitted.summary.validationScore };
  };
  const turns = await lossOf([{ prompt: asked, completion: answer }]);
  const text = await lossOf([{ prompt: JSON.stringify(asked), completion: 'four' }]);
  const last = await lossOf(plain, { 'data.chat_answers': 'last' });
  expect(turns.loss).toEqual(last.loss);
  expect(text.loss).toEqual(last.loss);
  expect((await lossOf(plain)).loss).not.toEqual(last.loss);
  const [written] = await turns.predictor.predict([{ prompt: asked }]);
  expect(written).toBe((await last.predictor.predict([{ messages: asked }]))[0]);
  const texts = turns.predictor.rowsOfTexts(['three']);
  await expect(turns.predictor.predict(texts)).resolves.toHaveLength(1);
}, 120_000);

it('what a template does not write of the turns of preferences is told, too', async () => {
  const asked = [{ role: 'user', content: 'one' }];
  const answer = (content: string) => [{ role: 'assistant', content, reasoning_content: 'so' }];
  const rows = [{ prompt: asked, chosen: answer('two'), rejected: answer('three') }];
  for (const task of ['preference', 'reward'] as const) {
    const { warnings } = await fit(rows, { task }, { 'data.chat_template': 'chatml' });
    expect(
      warnings.filter(({ code }) => code === 'PEFT_CHAT_KEY_UNUSED').map(({ message }) => message),
    ).toEqual([
      'the chat template does not write "reasoning_content" of messages, so that it is not used.',
    ]);
  }
}, 120_000);
