/** Scores of saved models, and what they make of a text, with real fits. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftPredictor, type FitOptions, type PredictorOptions } from '@peft/predictor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorBody, OpenModel, ScoreReport, TriedRow } from '../src/api-types.js';
import { openStudio, QUICK_MODEL, TINY_LLAMA, type OpenStudio } from './studio-fixture.js';

let studio: OpenStudio;
const inFolder = (name: string): string => join(studio.folder, name);

async function fit(
  options: PredictorOptions,
  train: string,
  request: Readonly<Record<string, unknown>>,
  more: FitOptions = {},
): Promise<void> {
  const predictor = new PeftPredictor(options);
  await predictor.fit(train, { ...more, request: { train, ...request } });
  predictor.dispose();
}

const QUICK = {
  'model.hf_text.checkpoint_name': QUICK_MODEL,
  'model.hf_text.max_text_len': 16,
  'optim.peft': 'ia3_bias',
  'optim.lr': 1e-2,
  'optim.max_epochs': 1,
  'env.batch_size': 8,
  'env.engine': 'portable',
} as const;
const TEXTS = ['the team won match', 'the doctor saw patient'] as const;

beforeAll(async () => {
  studio = await openStudio();
  const rows = Array.from({ length: 40 }, (_, at) => {
    const topic = at % 2;
    return `${['sports', 'health'][topic]},${TEXTS[topic]} ${at},${at / 10},${at % 3 ? 'de' : 'en'}`;
  });
  const table = inFolder('rows.csv');
  writeFileSync(table, ['topic,text,score,language', ...rows].join('\n'));
  writeFileSync(inFolder('chats.jsonl'), '{"text":"Hello there, who is it?"}\n'.repeat(8));
  await studio.post('/api/tables/name', { path: table });
  const text = { textColumns: ['text'] };
  const hyperparameters = QUICK;
  await fit(
    { label: 'topic', path: inFolder('topics'), hyperparameters },
    table,
    {
      label: 'topic',
      text: ['text'],
      hyperparameters: QUICK,
    },
    text,
  );
  await fit(
    { label: 'score', problemType: 'regression', path: inFolder('scores'), hyperparameters },
    table,
    { label: 'score', problemType: 'regression', text: ['text'], hyperparameters: QUICK },
    text,
  );
  const llama = {
    'model.hf_text.checkpoint_name': TINY_LLAMA,
    'env.engine': 'portable',
    'optim.max_epochs': 1,
    'optim.lr': 0.05,
  } as const;
  await fit(
    { task: 'causal-lm', path: inFolder('writer'), hyperparameters: llama },
    inFolder('chats.jsonl'),
    { task: 'causal-lm', hyperparameters: llama },
    { standalone: false },
  );
});
afterAll(() => studio.close());

const asked = async <T>(path: string, body: unknown): Promise<T> =>
  (await (await studio.post(path, body)).json()) as T;

describe('scores', () => {
  it('of the held-out rows are those of the fit', async () => {
    const report = await asked<ScoreReport>('/api/score', { run: 'topics' });
    const { runs } = await studio.get<{ runs: { id: string; score: number }[] }>('/api/runs');
    const { score } = runs.find(({ id }) => id === 'topics')!;
    expect(report.scores['roc_auc']).toBeCloseTo(score, 6);
    expect(report.classes!.confusion.flat().reduce((sum, count) => sum + count, 0)).toBe(
      report.rows,
    );
  });

  it('of a table have its languages, and of numbers how far they are off', async () => {
    const table = inFolder('rows.csv');
    const topics = await asked<ScoreReport>('/api/score', { run: 'topics', table });
    expect(topics).toMatchObject({ name: 'rows.csv', rows: 40 });
    expect(topics.byLanguage!.map(({ language, rows }) => [language, rows])).toEqual([
      ['en', 14],
      ['de', 26],
    ]);
    const right = topics.byLanguage!.reduce((sum, { rows, score }) => sum + rows * score, 0);
    expect(right / 40).toBeCloseTo(topics.scores['accuracy']!, 12);
    const { numbers, scores } = await asked<ScoreReport>('/api/score', { run: 'scores', table });
    const [worst] = numbers!.mistakes;
    const distances = numbers!.points.map(({ actual, predicted }) => Math.abs(actual - predicted));
    expect(Math.abs(worst!.actual - worst!.predicted)).toBeCloseTo(Math.max(...distances), 12);
    const squares = distances.reduce((sum, each) => sum + each ** 2, 0);
    expect(scores['root_mean_squared_error']).toBeCloseTo(Math.sqrt(squares / 40), 6);
  });

  it('of held-out rows that changed since are refused', async () => {
    const table = inFolder('rows.csv');
    await fit(
      { label: 'topic', path: inFolder('later'), hyperparameters: QUICK },
      table,
      {
        label: 'score',
        hyperparameters: QUICK,
      },
      { textColumns: ['text'] },
    );
    const { error } = await asked<ErrorBody>('/api/score', { run: 'later' });
    expect(error.code).toBe('PEFT_STUDIO_ROWS');
  });
});

describe('a model that is tried', () => {
  it('tells the probabilities of a text', async () => {
    expect(await asked<OpenModel>('/api/try/open', { runs: ['topics'] })).toEqual({
      kind: 'predictor',
      task: 'classification',
      inputs: ['text'],
    });
    const { probabilities } = await asked<TriedRow>('/api/try/predict', {
      row: { text: 'the team won' },
    });
    expect(probabilities!.map(({ label }) => label).sort()).toEqual(['health', 'sports']);
    expect(probabilities!.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 6);
  });

  it('writes with its adapter and without, at the same seed', async () => {
    const refused = await asked<ErrorBody>('/api/try/v1/completions', {});
    expect(refused.error.code).toBe('PEFT_STUDIO_MODEL');
    const opened = await asked<OpenModel>('/api/try/open', { runs: ['writer'] });
    expect(opened).toMatchObject({ kind: 'language', voices: ['writer', 'base'] });
    const written = async (model: string): Promise<string> => {
      const body = { model, prompt: 'Hello', max_tokens: 8, temperature: 1, seed: 3 };
      const { choices } = await asked<{ choices: { text: string }[] }>(
        '/api/try/v1/completions',
        body,
      );
      return choices[0]!.text;
    };
    const [own, base] = [await written('writer'), await written('base')];
    expect(own).not.toBe(base);
    expect(await written('writer')).toBe(own);
  });
});
