/** The server as OpenAI's own client and the ai SDK see it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createServer, type PeftServer } from '../src/index.js';
import { LLAMA, writeAdapters } from './served-fixture.js';

const NAMES = ['warm', 'cold', 'front'] as const;
const LOADED = [...NAMES, 'several'];
const KEY = 'a-key-of-the-test';

let root: string;
let server: PeftServer;
let url: string;
let client: OpenAI;
const lines: string[] = [];
beforeAll(async () => {
  root = await writeAdapters();
  server = await createServer({
    model: LLAMA,
    engine: 'portable',
    chatTemplate: 'chatml',
    adapters: Object.fromEntries(LOADED.map((name) => [name, join(root, name)])),
    adapterRoot: root,
    apiKeys: [KEY],
    prefillTokens: 16,
    log: (line) => lines.push(line),
  });
  ({ url } = await server.listen({ port: 0 }));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

const greedy = { max_tokens: 8, temperature: 0 } as const;
const messages = [{ role: 'user' as const, content: 'Die Kopfhörer sind gut' }];

async function complete(model: string, prompt = 'The headphones are'): Promise<string> {
  const { choices } = await client.completions.create({ model, prompt, ...greedy });
  return choices[0]!.text;
}

describe("OpenAI's client", () => {
  test('lists the model and its adapters', async () => {
    const ids = (await client.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual(['llama', ...LOADED]);
  });

  test('chats, with usage and probabilities', async () => {
    const answer = await client.chat.completions.create({
      model: 'llama',
      messages,
      ...greedy,
      logprobs: true,
      top_logprobs: 2,
    });
    const { message, logprobs, finish_reason } = answer.choices[0]!;
    expect(message.role).toBe('assistant');
    expect(finish_reason).toBe('length');
    expect(logprobs!.content).toHaveLength(8);
    for (const { logprob, top_logprobs } of logprobs!.content!) {
      expect(logprob).toBeLessThan(0);
      expect(top_logprobs.map((one) => one.logprob)).toContain(logprob);
      expect(top_logprobs[0]!.logprob).toBeGreaterThanOrEqual(top_logprobs[1]!.logprob);
    }
    expect(answer.usage!.completion_tokens).toBe(8);
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + 8);
  });

  test('streams the same text, piece by piece, and its usage', async () => {
    const whole = await client.chat.completions.create({ model: 'warm', messages, ...greedy });
    const stream = await client.chat.completions.create({
      model: 'warm',
      messages,
      ...greedy,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const reasons: unknown[] = [];
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(reasons).toEqual(['length']);
    expect(usage).toEqual(whole.usage);
  });

  test('gets of adapters in flight at once what each gives alone', async () => {
    const models = ['llama', ...NAMES];
    const alone: string[] = [];
    for (const model of models) alone.push(await complete(model));
    expect(new Set(alone).size).toBe(models.length);
    const twice = [...models, ...models];
    expect(await Promise.all(twice.map((model) => complete(model)))).toEqual([...alone, ...alone]);
  });

  test('gets several texts of several prompts, each by its own seed', async () => {
    const request = {
      model: 'llama',
      prompt: ['Eins', 'Zwei'],
      n: 2,
      max_tokens: 6,
      temperature: 1.5,
      seed: 4,
    };
    const { choices, usage } = await client.completions.create(request);
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(new Set(choices.map(({ text }) => text)).size).toBe(4);
    expect(usage!.completion_tokens).toBe(24);
    const again = await client.completions.create(request);
    expect(again.choices.map(({ text }) => text)).toEqual(choices.map(({ text }) => text));
  });

  test('ends before a stop string', async () => {
    const whole = await complete('llama');
    const stop = whole.slice(6, 9);
    const { choices } = await client.completions.create({
      model: 'llama',
      prompt: 'The headphones are',
      ...greedy,
      stop,
    });
    expect(choices[0]!.text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(choices[0]!.finish_reason).toBe('stop');
  });

  test('holds tokens back by a bias, and repeats less by a penalty', async () => {
    const told = await client.completions.create({
      model: 'llama',
      prompt: [5, 9, 40],
      ...greedy,
      logprobs: 0,
    });
    const free = told.choices[0]!.text;
    const all = Object.fromEntries(
      Array.from({ length: 1000 }, (_, id) => [String(id), id === 77 ? 100 : -100]),
    );
    const bound = await client.completions.create({
      model: 'llama',
      prompt: [5, 9, 40],
      ...greedy,
      logit_bias: all,
    });
    expect(bound.choices[0]!.text).not.toBe(free);
    const varied = await client.completions.create({
      model: 'llama',
      prompt: [5, 9, 40],
      ...greedy,
      logit_bias: all,
      frequency_penalty: 2,
    });
    expect(varied.choices[0]!.text).toBe(bound.choices[0]!.text); // 2 a time is less than 200
  });

  test('can leave in mid-stream', async () => {
    const stream = await client.completions.create({
      model: 'llama',
      prompt: 'Ein langer Text',
      max_tokens: 100,
      temperature: 0,
      stream: true,
    });
    for await (const chunk of stream) {
      expect(chunk.choices).toHaveLength(1);
      stream.controller.abort();
      break;
    }
    await expect.poll(async () => (await health()).running).toBe(0);
    expect((await health()).cacheBytes).toBe(0);
  });

  test.each([
    ['an unknown model', { model: 'wram' }, 404, 'Did you mean "warm"'],
    [
      'tools',
      { tools: [{ type: 'function', function: { name: 'f' } }] },
      400,
      '"tools" is not supported',
    ],
    ['a JSON schema', { response_format: { type: 'json_schema' } }, 400, '"response_format"'],
    ['a temperature that is none', { temperature: 'hot' }, 400, '"temperature" must be a number'],
    ['a typo', { max_token: 3 }, 400, 'or "max_tokens"'],
    ['a task of one that learnt none', { task_id: 0 }, 400, 'no adapter in force has several'],
    ['no task of several', { model: 'several' }, 400, 'the adapter learnt 2 tasks'],
    ['a task too many', { model: 'several', task_id: 2 }, 400, 'has tasks 0 to 1'],
    ['a task below 0', { model: 'several', task_id: -1 }, 400, '"task_id" must be'],
    ['a message without a role', { messages: [{ content: 'a' }] }, 400, 'has no role'],
    [
      'an image',
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      400,
      'only texts',
    ],
    ['more than the context holds', { max_tokens: 1e6 }, 400, 'the context holds'],
  ])('is told what is wrong with %s', async (_, change, status, message) => {
    const body = { model: 'llama', messages, ...greedy, ...change };
    const error = await client.chat.completions
      .create(body as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming) // wrong on purpose
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status });
    expect((error as Error).message).toContain(message);
  });

  test('says which task a text is of, in one batch with others', async () => {
    const ask = async (task_id: number): Promise<string> => {
      const body = { model: 'several', prompt: 'The headphones are', ...greedy, task_id };
      const { choices } = await client.completions.create(body);
      return choices[0]!.text;
    };
    const [zero, one] = [await ask(0), await ask(1)];
    expect(zero).not.toBe(one);
    expect(await Promise.all([ask(1), ask(0), ask(1)])).toEqual([one, zero, one]);
  });

  test('needs the key', async () => {
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'another', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401 });
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });
});

describe('the ai SDK', () => {
  test('makes a text and streams the same', async () => {
    const provider = createOpenAICompatible({ name: 'peft', baseURL: `${url}/v1`, apiKey: KEY });
    const request = {
      model: provider('cold'),
      prompt: 'Guten Tag',
      maxOutputTokens: 6,
      temperature: 0,
    };
    const { text, usage } = await generateText(request);
    expect(text.length).toBeGreaterThan(0);
    expect(usage.outputTokens).toBe(6);
    const { textStream } = streamText(request);
    let streamed = '';
    for await (const piece of textStream) streamed += piece;
    expect(streamed).toBe(text);
  });
});

describe('adapters at run time', () => {
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}` },
      body: JSON.stringify(body),
    });

  test('are loaded under another name, answer the same, and go', async () => {
    const wanted = await complete('warm');
    expect((await post('load_lora_adapter', { lora_name: 'new', lora_path: 'warm' })).status).toBe(
      200,
    );
    expect(await complete('new')).toBe(wanted);
    expect((await post('load_lora_adapter', { lora_name: 'new', lora_path: 'cold' })).status).toBe(
      400,
    );
    expect((await post('unload_lora_adapter', { lora_name: 'new' })).status).toBe(200);
    await expect(complete('new')).rejects.toMatchObject({ status: 404 });
    expect((await post('unload_lora_adapter', { lora_name: 'new' })).status).toBe(404);
  });

  test('that are unloaded while a text is made with them end that text', async () => {
    await post('load_lora_adapter', { lora_name: 'brief', lora_path: join(root, 'warm') });
    const wanted = await client.completions.create({
      model: 'brief',
      prompt: 'Ein',
      max_tokens: 30,
      temperature: 0,
    });
    const stream = await client.completions.create({
      model: 'brief',
      prompt: 'Ein',
      max_tokens: 30,
      temperature: 0,
      stream: true,
    });
    let text = '';
    for await (const chunk of stream) {
      if (text === '')
        expect((await post('unload_lora_adapter', { lora_name: 'brief' })).status).toBe(200);
      text += chunk.choices[0]!.text;
    }
    expect(text).toBe(wanted.choices[0]!.text);
  });

  test.each(['../', '..', '.', '/etc', 'nothing', '../../../../etc', 'warm/../..', 'a\0b'])(
    'come from their folder alone, not from %s',
    async (path) => {
      const answer = await post('load_lora_adapter', { lora_name: 'bad', lora_path: path });
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain('There is no adapter');
    },
  );
});

test('the log has a line for each request, without texts', async () => {
  await complete('cold', 'Ein Geheimnis');
  const line = JSON.parse(lines.at(-1)!) as Record<string, unknown>;
  expect(line).toMatchObject({
    method: 'POST',
    path: '/v1/completions',
    status: 200,
    model: 'cold',
    completionTokens: 8,
  });
  expect(lines.join('\n')).not.toContain('Geheimnis');
});

test('the log says the tokens of a stream when it has ended', async () => {
  const stream = await client.completions.create({
    model: 'warm',
    prompt: 'Ein',
    ...greedy,
    stream: true,
  });
  for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
  await expect
    .poll(() => JSON.parse(lines.at(-1)!) as object)
    .toMatchObject({ model: 'warm', completionTokens: 8 });
});

test('metrics count requests and tokens', async () => {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${KEY}` } });
  const text = await answer.text();
  expect(text).toMatch(/^peft_requests_total\{route="\/v1\/completions",status="200"\} \d+$/m);
  expect(text).toMatch(/^peft_tokens_total\{kind="completion"\} [1-9]\d*$/m);
  expect(text).toMatch(/^peft_time_to_first_token_seconds_bucket\{le="\+Inf"\} [1-9]\d*$/m);
  expect(text).toMatch(/^peft_texts_running 0$/m);
});

async function health(): Promise<{ readonly running: number; readonly cacheBytes: number }> {
  return (await (await fetch(`${url}/health`)).json()) as {
    readonly running: number;
    readonly cacheBytes: number;
  };
}
