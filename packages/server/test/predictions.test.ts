/** Classifiers, regressors, taggers and embedding models over HTTP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PeftPredictor } from '@peft/predictor';
import { predictorOf } from '../../predictor/test/quick-tasks.js';
import { quickPredictor, quickRows } from '../../predictor/test/quick.js';
import { createServer, type PeftServer } from '../src/index.js';

const root = mkdtempSync(join(tmpdir(), 'peft-served-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function withServer(
  folder: string,
  body: (url: string, server: PeftServer) => Promise<void>,
): Promise<void> {
  const server = await createServer({ model: folder, engine: 'portable' });
  try {
    await body((await server.listen({ port: 0 })).url, server);
  } finally {
    await server.close();
  }
}

const post = async (url: string, body: object): Promise<{ status: number; json: unknown }> => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, json: await answer.json() };
};

describe('a classifier', () => {
  const folder = join(root, 'classes');
  const texts = ['the team won the match', 'the doctor treated the patient'];
  let wanted: Float64Array[];
  let classes: readonly unknown[];
  beforeAll(async () => {
    const { predictor } = quickPredictor({ path: folder });
    await predictor.fit(quickRows(40));
    predictor.dispose();
    const loaded = await PeftPredictor.load(folder, { engine: 'portable' });
    wanted = await loaded.predictProba(texts.map((text) => ({ text })));
    classes = loaded.classLabels!;
    loaded.dispose();
  });

  test('gives labels with probabilities as the predictor does, singly, in lists, and to vLLM clients', () =>
    withServer(folder, async (url) => {
      const single = await post(`${url}/predict`, { inputs: texts[0]! });
      const scores = single.json as { label: string; score: number }[];
      expect(scores.map(({ score }) => score)).toEqual([...wanted[0]!].sort((a, b) => b - a));
      const best = wanted[0]!.indexOf(Math.max(...wanted[0]!));
      expect(scores[0]!.label).toBe(classes[best]);
      const list = await post(`${url}/predict`, { inputs: texts.map((text) => [text]) });
      expect((list.json as unknown[])[0]).toEqual(scores);
      const { json } = await post(`${url}/v1/classify`, { model: 'classes', input: texts });
      expect((json as { data: { probs: number[] }[] }).data.map(({ probs }) => probs)).toEqual(
        wanted.map((row) => [...row]),
      );
      const invoked = await post(`${url}/invocations`, { inputs: texts[0]! });
      expect(invoked.json).toEqual(scores);
      expect((await fetch(`${url}/ping`)).status).toBe(200);
    }));

  test('answers requests at once, each as alone', () =>
    withServer(folder, async (url) => {
      const many = Array.from({ length: 12 }, (_, i) => texts[i % 2]!);
      const answers = await Promise.all(
        many.map((text) => post(`${url}/v1/classify`, { input: text })),
      );
      expect(
        answers.map(({ json }) => (json as { data: { probs: number[] }[] }).data[0]!.probs),
      ).toEqual(many.map((_, i) => [...wanted[i % 2]!]));
    }));

  test.each([
    ['/predict', { inputs: ['a', 'b'] }, 400, 'has 1 texts (text), got 2'],
    ['/predict', { inputs: 3 }, 400, '"inputs" must be a text'],
    ['/predict', { inputs: 'a', raw_scores: true }, 400, '"raw_scores" is not supported'],
    ['/predict', { input: 'a' }, 400, '"inputs" must be'],
    ['/v1/classify', { input: 'a', model: 'other' }, 404, 'There is no model "other"'],
    ['/v1/completions', { prompt: 'a' }, 404, 'writes no text'],
    ['/v1/embeddings', { input: 'a' }, 404, 'makes no embeddings'],
    ['/invocations', { text: 'a' }, 400, 'must have "messages"'],
    ['/v1/load_lora_adapter', { lora_name: 'a', lora_path: 'a' }, 403, 'adapter-root'],
  ])('is asked wrongly at %s with %j', (path, body, status, message) =>
    withShared(folder, async (url) => {
      const answer = await post(`${url}${path}`, body);
      expect(answer.status).toBe(status);
      expect(JSON.stringify(answer.json).replaceAll('\\"', '"')).toContain(message);
    }),
  );
});

/** One server for tests that only ask. */
let shared: { readonly url: string; readonly server: PeftServer } | undefined;
afterAll(() => shared?.server.close());
async function withShared(folder: string, body: (url: string) => Promise<void>): Promise<void> {
  if (!shared) {
    const server = await createServer({ model: folder, engine: 'portable' });
    shared = { server, url: (await server.listen({ port: 0 })).url };
  }
  await body(shared.url);
}

test("an embedding model answers OpenAI's client and Text Embeddings Inference's", async () => {
  const folder = join(root, 'embeddings');
  const { predictor } = predictorOf('embeddings', 'bert', { path: folder });
  await predictor.fit([
    { anchor: 'a cat', positive: 'a kitten' },
    { anchor: 'a dog', positive: 'a puppy' },
    { anchor: 'a car', positive: 'a bus' },
    { anchor: 'a tree', positive: 'a bush' },
  ]);
  const texts = ['a cat', 'a bus'];
  const wanted = await predictor.predict<Float32Array>(texts.map((anchor) => ({ anchor })));
  predictor.dispose();
  await withServer(folder, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    // the client asks for base64 and decodes it
    const { data } = await client.embeddings.create({ model: 'embeddings', input: texts });
    data.forEach(({ embedding }, i) => {
      expect(embedding).toHaveLength(wanted[i]!.length);
      embedding.forEach((value, d) => expect(value).toBeCloseTo(wanted[i]![d]!, 5));
    });
    const { json } = await post(`${url}/embed`, { inputs: texts });
    expect(json).toEqual(data.map(({ embedding }) => embedding));
    const short = await client.embeddings.create({
      model: 'embeddings',
      input: texts[0]!,
      dimensions: 8,
    });
    expect(short.data[0]!.embedding).toHaveLength(8);
  });
});

test("a ranking model answers Text Embeddings Inference's clients as the predictor does", async () => {
  const folder = join(root, 'ranking');
  const rows = ['cat', 'dog'].flatMap((query) =>
    ['a cat', 'a dog', 'a car', 'a bus'].map((document) => ({
      query,
      document,
      relevance: document.endsWith(query) ? 1 : 0,
    })),
  );
  const { predictor } = predictorOf('ranking', 'bert', { path: folder });
  await predictor.fit(rows, { tuningData: rows });
  predictor.dispose();
  const texts = ['a car', 'a cat', 'a dog'];
  const loaded = await PeftPredictor.load(folder, { engine: 'portable' });
  const wanted = await loaded.rank('cat', texts);
  loaded.dispose();
  await withServer(folder, async (url) => {
    const { json } = await post(`${url}/rerank`, { query: 'cat', texts, return_text: true });
    expect(json).toEqual(
      wanted.map(({ index, score, document }) => ({ index, score, text: document })),
    );
    expect((await post(`${url}/v1/classify`, { input: 'a' })).status).toBe(404);
    expect((await post(`${url}/rerank`, { query: 'cat', texts: [] })).status).toBe(400);
  });
});

test('a multi-label model gives every label its probability', async () => {
  const folder = join(root, 'labels');
  const rows = Array.from({ length: 8 }, (_, i) => ({
    labels: i % 2 ? ['news', 'sports'] : ['news'],
    text: i % 2 ? `the match ${i}` : `the vote ${i}`,
  }));
  const { predictor } = predictorOf('multi-label-classification', 'bert', {
    path: folder,
    label: 'labels',
  });
  await predictor.fit(rows, { tuningData: rows });
  predictor.dispose();
  const loaded = await PeftPredictor.load(folder, { engine: 'portable' });
  const [wanted] = await loaded.predictProba([{ text: 'the match' }]);
  loaded.dispose();
  await withServer(folder, async (url) => {
    const { json } = await post(`${url}/predict`, { inputs: 'the match' });
    const scores = json as { label: string; score: number }[];
    expect(scores.map(({ score }) => score)).toEqual([...wanted!].sort((a, b) => b - a));
    expect(new Set(scores.map(({ label }) => label))).toEqual(new Set(['news', 'sports']));
  });
});
