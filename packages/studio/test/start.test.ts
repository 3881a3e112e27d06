/** From a dropped table to a run: what the form asks, with the real tables and the real fit. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  ErrorBody,
  FormParts,
  PreviewAnswer,
  RunLine,
  TablePreview,
} from '../src/api-types.js';
import { guessTask } from '../src/tables/guess-task.js';
import { tableFromRows } from '@peft/data';
import { QUICK_MODEL, TINY_LLAMA, openStudio, type OpenStudio } from './studio-fixture.js';

let studio: OpenStudio;
beforeAll(async () => {
  studio = await openStudio();
});
afterAll(() => studio.close());

const refusal = async (response: Response): Promise<string> =>
  ((await response.json()) as ErrorBody).error.code;
async function drop(name: string, content: string): Promise<string> {
  const response = await studio.ask(`/api/tables/drop?name=${encodeURIComponent(name)}`, {
    method: 'POST',
    body: content,
  });
  return ((await response.json()) as { path: string }).path;
}
const asked = async <T>(path: string, body: unknown): Promise<T> =>
  (await (await studio.post(path, body)).json()) as T;

const TOPICS = [
  'topic,text',
  ...Array.from({ length: 24 }, (_, at) =>
    at % 2 === 0 ? `sports,the team won match ${at}` : `health,the doctor saw patient ${at}`,
  ),
].join('\n');
const CHATS = Array.from({ length: 8 }, (_, at) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `Question ${at}` },
      { role: 'assistant', content: `Answer ${at}` },
    ],
  }),
).join('\n');

const request = (train: string) => ({
  train,
  label: 'topic',
  method: 'ia3_bias',
  model: QUICK_MODEL,
  hyperparameters: {
    'optim.max_epochs': 2,
    'env.batch_size': 8,
    'env.engine': 'portable',
    'model.hf_text.max_text_len': 16,
  },
});

describe('a table', () => {
  it('that is dropped is kept under its name, and shown with what it looks like', async () => {
    const path = await drop('topics.csv', TOPICS);
    expect(path).toBe(join(studio.folder, 'tables', 'topics.csv'));
    expect(readFileSync(path, 'utf8')).toBe(TOPICS);
    expect(await drop('topics.csv', TOPICS)).toBe(path);
    expect(await drop('../topics.csv', `${TOPICS}\nhealth,more`)).toBe(
      join(studio.folder, 'tables', 'topics-2.csv'),
    );
    const table = await asked<TablePreview>('/api/table', { path });
    expect(table).toMatchObject({
      rows: 24,
      columns: [
        { name: 'topic', distinct: 2 },
        { name: 'text', type: 'text' },
      ],
      guess: { label: 'topic' },
    });
    expect(table.head[0]).toEqual(['sports', 'the team won match 0']);
  });

  it('that nobody chose is not read', async () => {
    const path = join(studio.folder, 'unnamed.csv');
    writeFileSync(path, TOPICS);
    const refused = await studio.post('/api/table', { path });
    expect(await refusal(refused)).toBe('PEFT_STUDIO_TABLE');
    expect(await refusal(await studio.post('/api/preview', { request: request(path) }))).toBe(
      'PEFT_STUDIO_TABLE',
    );
    expect(await refusal(await studio.post('/api/tables/name', { path: '/etc/passwd' }))).toBe(
      'PEFT_STUDIO_TABLE',
    );
    await studio.post('/api/tables/name', { path });
    expect((await studio.post('/api/table', { path })).status).toBe(200);
    await drop('dropped.csv', TOPICS);
    expect(await refusal(await studio.post('/api/table', { path: '/dropped.csv' }))).toBe(
      'PEFT_STUDIO_TABLE',
    );
  });

  it('looks like a task by its columns, or like one label beside texts', () => {
    const guess = (...rows: object[]) => guessTask(tableFromRows(rows));
    expect(guess({ messages: [] })).toEqual({ task: 'causal-lm' });
    expect(guess({ prompt: 'a', completion: 'b' })).toEqual({ task: 'causal-lm' });
    expect(guess({ tokens: ['a'], tags: ['O'] })).toEqual({ task: 'token-classification' });
    expect(guess({ source: 'a', target: 'b' })).toEqual({ task: 'seq2seq' });
    expect(guess({ anchor: 'a', positive: 'b' })).toEqual({ task: 'embeddings' });
    expect(guess({ text: 'only texts' })).toEqual({ task: 'causal-lm' });
    expect(guess({ text: 'a', stars: 4 })).toEqual({ label: 'stars' });
  });
});

describe('a request', () => {
  it('is previewed: task, labels, tokens, memory, and the same in words', async () => {
    const train = await drop('topics.csv', TOPICS);
    const answer = await asked<PreviewAnswer>('/api/preview', { request: request(train) });
    expect(answer.problem).toBeUndefined();
    expect(answer.preview).toMatchObject({ task: 'classification', metric: 'roc_auc', epochs: 2 });
    const { labels, trainingRows, validationRows, memory, tokens } = answer.preview!;
    expect(trainingRows + validationRows).toBe(24);
    expect(labels!.reduce((sum, { rows }) => sum + rows, 0)).toBe(trainingRows);
    expect(memory!.peakBytes).toBeGreaterThan(1e7);
    expect(tokens.bars.reduce((sum, { count }) => sum + count, 0)).toBe(trainingRows);
    expect(answer.commandLine).toMatch(
      /peft fit \S+topics.csv --label topic --model \S+ --method ia3_bias --set /,
    );
    expect(answer.runFile).toContain('label: topic\n');
    // nobody has run it: what its matrices and its other kernels need, at speeds that were measured
    const { time, speed } = answer.preview!;
    expect(time).toMatchObject({
      isLeast: true,
      basis: expect.stringMatching(/^an estimate: .* need [\d.]+ million operations a token/),
    });
    const rows = 2 * trainingRows;
    const seconds =
      (rows * tokens.mean * speed!.operationsPerToken) / speed!.operationsPerSecond +
      (rows / speed!.rowsPerMicroBatch) * speed!.secondsPerMicroBatch;
    expect(speed!.secondsPerMicroBatch).toBeGreaterThan(0);
    expect(time!.seconds).toBeCloseTo(seconds, 9);
  });

  it('of a language model shows what the model reads, and what of it is learnt', async () => {
    const train = await drop('chats.jsonl', CHATS);
    const { preview, problem } = await asked<PreviewAnswer>('/api/preview', {
      request: {
        train,
        task: 'causal-lm',
        model: TINY_LLAMA,
        chatTemplate: 'chatml',
        hyperparameters: { 'env.engine': 'portable' },
      },
    });
    expect(problem).toBeUndefined();
    const pieces = preview!.examples[0]!;
    const learnt = pieces.filter(({ isLearnt }) => isLearnt).map(({ text }) => text);
    const given = pieces.filter(({ isLearnt }) => !isLearnt).map(({ text }) => text);
    expect(learnt.join('')).toContain('nswer');
    expect(learnt.join('')).not.toContain('uestion');
    expect(given.join('')).toContain('uestion');
  });

  it('that cannot be a fit says why, in the words of the fit', async () => {
    const train = await drop('topics.csv', TOPICS);
    const problemOf = async (changed: object) =>
      (await asked<PreviewAnswer>('/api/preview', { request: { ...request(train), ...changed } }))
        .problem;
    expect(await problemOf({ label: 'topics' })).toMatchObject({ code: 'PEFT_COLUMN_MISSING' });
    expect(await problemOf({ hyperparameters: { 'optim.lr': -1 } })).toMatchObject({
      message: expect.stringContaining('optim.lr'),
    });
  });

  it('starts no run that loads modules, writes elsewhere, or has no proper name', async () => {
    const train = await drop('topics.csv', TOPICS);
    const start = async (name: string, changed: object = {}) =>
      refusal(
        await studio.post('/api/start', { name, request: { ...request(train), ...changed } }),
      );
    expect(await start('a', { plugins: ['./evil.mjs'] })).toBe('PEFT_STUDIO_REQUEST');
    expect(await start('a', { log: '/tmp/elsewhere.jsonl' })).toBe('PEFT_STUDIO_REQUEST');
    expect(await start('a', { labl: 'x' })).toBe('PEFT_CONFIG_UNKNOWN_KEY');
    for (const name of ['', '..', 'a/b', '.hidden', '-x', 'tables'])
      expect(await start(name)).toBe('PEFT_STUDIO_NAME');
    expect(existsSync(join(studio.folder, 'a'))).toBe(false);
  });

  it('becomes a run, and one that cannot begin stays in the list with its error', async () => {
    const train = await drop('topics.csv', TOPICS);
    await studio.post('/api/start', { name: 'first', request: request(train) });
    await studio.post('/api/start', {
      name: 'bad',
      request: { ...request(train), model: '/no/such/model' },
    });
    const found = new Map<string, RunLine>();
    while (!found.get('first')?.isWhole || found.get('bad')?.state !== 'not-started') {
      for (const run of (await studio.get<{ runs: RunLine[] }>('/api/runs')).runs)
        found.set(run.id, run);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(found.get('first')).toMatchObject({ isWhole: true, task: 'classification' });
    expect(found.get('bad')!.problem).toContain('/no/such/model');
    const draft = await studio.get<{ hyperparameters: object }>('/api/draft?run=first');
    expect(draft).toMatchObject({
      train,
      hyperparameters: {
        'optim.max_epochs': 2,
        'model.hf_text.checkpoint_name': QUICK_MODEL,
      },
    });
    expect(draft).not.toHaveProperty('output');
    const form = await studio.get<FormParts>('/api/form');
    expect(form.models).toEqual([QUICK_MODEL]);
    expect(form.settings['optim.lr']).toMatchObject({ type: 'number', default: 1e-4 });
    const again = await asked<PreviewAnswer>('/api/preview', { request: request(train) });
    expect(again.preview!.time!.seconds).toBeGreaterThan(0);
    expect(again.preview!.time!.basis).toBe('at the speed of first');
    await studio.post('/api/forget', { run: 'bad' });
    const { runs } = await studio.get<{ runs: RunLine[] }>('/api/runs');
    expect(runs.map(({ id }) => id)).toEqual(['first']);
  });
});
