/** Encoder-decoders over HTTP: a checkpoint with an adapter, and what `fit` saved. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateTexts } from '@peft/generation';
import { loadLanguageModel } from '@peft/predictor';
import { fitted, fixture, predictorOf } from '../../predictor/test/quick-tasks.js';
import { createServer, type PeftServer } from '../src/index.js';

const T5 = fixture('t5');
const PROMPTS = ['two cat', 'A bird says'];
const pairs = ['cat', 'dog', 'bird', 'fish', 'horse', 'mouse'].map((noun) => ({
  source: `two ${noun}`,
  target: `${noun} ${noun}`,
}));

const root = mkdtempSync(join(tmpdir(), 'peft-served-pairs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let saved: string;
beforeAll(async () => {
  saved = join(root, 'pairs');
  const { predictor } = predictorOf('seq2seq', 't5', { path: saved });
  await fitted(predictor, pairs);
  predictor.dispose();
});

/** What a model writes where it is loaded alone, greedily. */
async function alone(reference: string): Promise<string[]> {
  const language = await loadLanguageModel(reference, { engine: 'portable' });
  try {
    const options = { ...language.ends, maxNewTokens: 8 };
    const made = await generateTexts(language.model, language.tokenizer, PROMPTS, options);
    return made.map(({ text }) => text);
  } finally {
    language.dispose();
  }
}

async function ask(server: PeftServer, path: string, body: object) {
  const answer = await server.fetch(
    new Request(`http://served${path}`, { method: 'POST', body: JSON.stringify(body) }),
  );
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

async function completions(server: PeftServer, model: string): Promise<string[]> {
  const body = { model, prompt: PROMPTS, max_tokens: 8, temperature: 0 };
  const { json } = await ask(server, '/v1/completions', body);
  return (json['choices'] as { text: string }[]).map(({ text }) => text);
}

test('a checkpoint and an adapter for it answer at once what each writes alone', async () => {
  const wanted = [await alone(T5), await alone(saved)];
  expect(wanted[0]).not.toEqual(wanted[1]);
  const server = await createServer({ model: T5, adapters: { saved }, engine: 'portable' });
  try {
    expect(await Promise.all(['t5', 'saved'].map((name) => completions(server, name)))).toEqual(
      wanted,
    );
  } finally {
    await server.close();
  }
});

test('what fit saved answers, with its ends, and refuses chats by name', async () => {
  const wanted = await alone(saved);
  const server = await createServer({ model: saved, engine: 'portable' });
  try {
    expect(await completions(server, 'pairs')).toEqual(wanted);
    const body = { inputs: PROMPTS[0], parameters: { max_new_tokens: 8 } };
    expect((await ask(server, '/generate', body)).json).toEqual({ generated_text: wanted[0] });
    const chat = { model: 'pairs', messages: [{ role: 'user', content: 'Hi' }] };
    expect(await ask(server, '/v1/chat/completions', chat)).toMatchObject({
      status: 400,
      json: { error: { code: 'PEFT_CHAT_TEMPLATE_MISSING' } },
    });
  } finally {
    await server.close();
  }
});
