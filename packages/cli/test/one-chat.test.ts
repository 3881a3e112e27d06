/**
 * One conversation is the same tokens, and ends by the same tokens, where a model is trained, where
 * it is served, and in every form in which it leaves.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Model, ModelBatch } from '@peft/core';
import { exportModel } from '@peft/export';
import { loadLanguageModel, PeftPredictor } from '@peft/predictor';
import { createServer, type PeftServer } from '@peft/server';
import { useTemporaryFolder } from '@peft/testing';
import { expect, test } from 'vitest';
import { fixture } from './tiny-llama.js';

const engine = 'portable';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const QUESTION = { role: 'user', content: 'Who is the cat?' };
const ANSWER = { role: 'assistant', content: 'A friend.' };
/** `<|end_of_text|>`, an id that only `generation_config.json` names, and `<|eot_id|>` of the template. */
const ENDS = [457, 12, 458];
const NO_END = 20;

/** A base without a template, which ends texts by the first two. */
function baseModel(): string {
  const path = join(folder, 'base');
  cpSync(fixture('llama'), path, { recursive: true });
  writeFileSync(
    join(path, 'generation_config.json'),
    JSON.stringify({ bos_token_id: 456, eos_token_id: ENDS.slice(0, 2), temperature: 0.5 }),
  );
  return path;
}

/** The texts that a model reads from now on. */
function watched(model: Model): number[][] {
  const texts: number[][] = [];
  const forward = model.forward.bind(model);
  model.forward = (batch: ModelBatch, options) => {
    const { inputIds, offsets } = batch;
    for (let b = 0; b + 1 < offsets.length; b += 1)
      texts.push([...inputIds.subarray(offsets[b], offsets[b + 1])]);
    return forward(batch, options);
  };
  return texts;
}

/** @returns what is read while the model is trained, and where it then writes an answer. */
async function fitted(base: string, path: string) {
  const predictor = new PeftPredictor({ task: 'causal-lm', path });
  const rows = [{ messages: [QUESTION, ANSWER] }];
  let read: number[][] = [];
  try {
    await predictor.fit(rows, {
      tuningData: rows,
      beforeTraining: (model) => (read = watched(model)),
      hyperparameters: {
        'model.hf_text.checkpoint_name': base,
        'data.chat_template': 'llama3',
        'optim.peft': 'lora',
        'optim.lr': 1e-2,
        'optim.max_steps': 2,
        'env.batch_size': 1,
        'env.engine': engine,
      },
    });
    const [trained] = read;
    read.length = 0;
    await predictor.predict(rows, { writing: { maxNewTokens: 2 } });
    return { trained: trained!, prompt: read[0]! };
  } finally {
    predictor.dispose();
  }
}

/** What is read of one. */
interface Answer {
  readonly choices: readonly {
    readonly finish_reason: string;
    readonly logprobs: {
      readonly token_logprobs?: readonly number[];
      readonly content?: readonly { readonly logprob: number }[];
    };
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

async function ask(server: PeftServer, path: string, body: object): Promise<Answer> {
  const answer = await server.fetch(
    new Request(`http://served/v1/${path}`, {
      method: 'POST',
      body: JSON.stringify({ temperature: 0, max_tokens: 3, ...body }),
    }),
  );
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return JSON.parse(text) as Answer;
}

/** That a served adapter reads the conversation as these tokens, and ends by `ENDS`. */
async function checkServed(base: string, adapter: string, prompt: readonly number[]) {
  const server = await createServer({ model: base, engine, adapters: { tuned: adapter } });
  const model = 'tuned';
  try {
    const chat = { model, messages: [QUESTION], logprobs: true };
    const probabilities = async (ids: readonly number[]) =>
      (await ask(server, 'completions', { model, prompt: ids, logprobs: 0 })).choices[0]!.logprobs
        .token_logprobs;
    const { choices, usage } = await ask(server, 'chat/completions', chat);
    const own = choices[0]!.logprobs.content!.map(({ logprob }) => logprob);
    expect(usage.prompt_tokens).toBe(prompt.length);
    expect(own).toEqual(await probabilities(prompt)); // to the bit: the same ids
    expect(own).not.toEqual(await probabilities(prompt.with(3, prompt[3]! + 1)));
    for (const id of [...ENDS, NO_END]) {
      const forced = { ...chat, logit_bias: { [id]: 100 } };
      const { choices: ended } = await ask(server, 'chat/completions', forced);
      expect([id, ended[0]!.finish_reason]).toEqual([id, id === NO_END ? 'length' : 'stop']);
    }
  } finally {
    await server.close();
  }
}

/** The same of a folder or file that is opened. @returns the answer's tokens, and the names of `ENDS` */
async function checkOpened(path: string, prompt: readonly number[]) {
  const language = await loadLanguageModel(path, { engine });
  const { tokenizer } = language;
  try {
    const text = language.chatTemplate().render([QUESTION], { addGenerationPrompt: true });
    expect(tokenizer.ids(text)).toEqual(prompt);
    expect(new Set(language.chatEnds().endIds)).toEqual(new Set(ENDS));
    return {
      answer: tokenizer.ids(ANSWER.content),
      names: ENDS.map((id) => tokenizer.idToToken(id)!),
    };
  } finally {
    language.dispose();
  }
}

const jsonOf = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as object;

test('a conversation is the same tokens in fit, predict, serve and every export', async () => {
  const base = baseModel();
  const saved = join(folder, 'saved');
  const { trained, prompt } = await fitted(base, saved);
  const { answer, names } = await checkOpened(saved, prompt);
  expect(trained).toEqual([...prompt, ...answer, ENDS[2]]);
  await checkServed(base, saved, prompt);
  for (const to of ['safetensors', 'onnx']) {
    const output = join(folder, to);
    await exportModel(saved, { to, output, engine });
    const config = jsonOf(join(output, 'generation_config.json'));
    expect(config).toEqual({ bos_token_id: 456, eos_token_id: ENDS, temperature: 0.5 });
    expect(existsSync(join(output, 'chat_template.jinja'))).toBe(true);
  }
  await checkOpened(join(folder, 'safetensors'), prompt);
  const gguf = join(folder, 'model.gguf');
  await exportModel(saved, { to: 'gguf', output: gguf, engine });
  await checkOpened(gguf, prompt);
  await exportModel(saved, { to: 'ollama', output: join(folder, 'ollama'), engine });
  const modelfile = readFileSync(join(folder, 'ollama/Modelfile'), 'utf8');
  const stops = [...modelfile.matchAll(/^PARAMETER stop (.*)$/gm)];
  expect(new Set(stops.map(([, text]) => JSON.parse(text!) as string))).toEqual(new Set(names));
}, 60_000);
