/** Folders that `fit` saved, served beside their base: each answers as it does alone. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateTexts } from '@peft/generation';
import { loadLanguageModel, PeftPredictor } from '@peft/predictor';
import { createServer, type PeftServer } from '../src/index.js';
import { LLAMA } from './served-fixture.js';

const root = mkdtempSync(join(tmpdir(), 'peft-served-folders-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const PROMPT = 'say <go> and';

/** Fits the tiny Llama for a few steps. @returns the folder */
async function fitted(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  options: { readonly baseAdapter?: string } = {},
): Promise<string> {
  const path = join(root, name);
  const rows = Array.from({ length: 4 }, (_, n) => ({ text: `say <go> ${n} and <stop> ${name}` }));
  const predictor = new PeftPredictor({ task: 'causal-lm', path });
  try {
    await predictor.fit(rows, {
      tuningData: rows,
      ...options,
      hyperparameters: {
        'model.hf_text.checkpoint_name': LLAMA,
        'optim.peft': 'lora',
        'optim.lr': 0.1,
        'optim.max_steps': 3,
        'env.batch_size': 4,
        'env.engine': 'portable',
        ...settings,
      },
    });
  } finally {
    predictor.dispose();
  }
  return path;
}

/** What a folder writes after the prompt where it is loaded alone. */
async function alone(folder: string): Promise<string> {
  const language = await loadLanguageModel(folder, { engine: 'portable' });
  try {
    const [made] = await generateTexts(language.model, language.tokenizer, [PROMPT], {
      ...language.ends,
      maxNewTokens: 8,
    });
    return made!.text;
  } finally {
    language.dispose();
  }
}

let plain: string;
let grown: string;
let stacked: string;
let gates: string;
beforeAll(async () => {
  plain = await fitted('plain', {});
  grown = await fitted('grown', { 'data.added_tokens': ['<go>', '<stop>'] });
  gates = await fitted('gates', { 'optim.peft': 'unipelt' });
  stacked = await fitted('stacked', {}, { baseAdapter: plain });
});

async function texts(server: PeftServer, models: readonly string[]): Promise<string[]> {
  return Promise.all(
    models.map(async (model) => {
      const answer = await server.fetch(
        new Request('http://served/v1/completions', {
          method: 'POST',
          body: JSON.stringify({ model, prompt: PROMPT, max_tokens: 8, temperature: 0 }),
        }),
      );
      const json = (await answer.json()) as { choices?: { text: string }[] };
      return json.choices?.[0]?.text ?? JSON.stringify(json);
    }),
  );
}

test('with a vocabulary of its own, and without, beside one base at once', async () => {
  const wanted = [await alone(LLAMA), await alone(plain), await alone(grown)];
  expect(new Set(wanted).size).toBe(3);
  const server = await createServer({
    model: LLAMA,
    engine: 'portable',
    adapters: { plain, grown },
  });
  try {
    expect(await texts(server, ['llama', 'plain', 'grown'])).toEqual(wanted);
  } finally {
    await server.close();
  }
});

test('with tokens that the base was loaded without is refused by name at run time', async () => {
  const server = await createServer({ model: LLAMA, engine: 'portable', adapterRoot: root });
  try {
    const load = async (lora_name: string) => {
      const body = JSON.stringify({ lora_name, lora_path: lora_name });
      return server.fetch(
        new Request('http://served/v1/load_lora_adapter', { method: 'POST', body }),
      );
    };
    expect((await load('plain')).status).toBe(200);
    const answer = await load('grown');
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'PEFT_ADAPTER_MISMATCH' } });
    expect((await load('gates')).status).toBe(400);
  } finally {
    await server.close();
  }
});

test('whose adapter looks at whole sequences is refused by name', async () => {
  await expect(createServer({ model: gates, engine: 'portable' })).rejects.toMatchObject({
    code: 'PEFT_CACHE_ADAPTER',
  });
});

test('that stands on another adapter is refused by name, alone and beside its base', async () => {
  const refusal = { code: 'PEFT_CONFIG_UNSUPPORTED' };
  await expect(createServer({ model: stacked, engine: 'portable' })).rejects.toMatchObject(refusal);
  await expect(
    createServer({ model: LLAMA, engine: 'portable', adapters: { stacked } }),
  ).rejects.toMatchObject(refusal);
});
