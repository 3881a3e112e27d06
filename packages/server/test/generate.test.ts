/** Text Generation Inference's `/generate`, and SageMaker's `/invocations` of its containers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateTexts } from '@peft/generation';
import { loadLanguageModel } from '@peft/predictor';
import { smallModel } from '../../predictor/test/small-model.js';
import { createServer, type PeftServer } from '../src/index.js';
import { LLAMA } from './served-fixture.js';

const PROMPT = 'The headphones';

const root = mkdtempSync(join(tmpdir(), 'peft-generate-'));
let server: PeftServer;
let greedy: { readonly text: string; readonly ids: readonly number[] };
beforeAll(async () => {
  const language = await loadLanguageModel(LLAMA, { engine: 'portable' });
  const options = { ...language.ends, maxNewTokens: 8 };
  const [made] = await generateTexts(language.model, language.tokenizer, [PROMPT], options);
  greedy = { text: made!.text, ids: made!.ids };
  language.dispose();
  server = await createServer({ model: LLAMA, engine: 'portable' });
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

async function ask(
  path: string,
  body: object,
  asked = server,
): Promise<{ status: number; json: unknown }> {
  const answer = await asked.fetch(
    new Request(`http://served${path}`, { method: 'POST', body: JSON.stringify(body) }),
  );
  return { status: answer.status, json: await answer.json() };
}

describe('/generate', () => {
  test('continues a text greedily, with the prompt before it and details where asked for', async () => {
    const parameters = { max_new_tokens: 8 };
    expect(await ask('/generate', { inputs: PROMPT, parameters })).toEqual({
      status: 200,
      json: { generated_text: greedy.text },
    });
    const more = { ...parameters, return_full_text: true, details: true, seed: 3 };
    expect((await ask('/generate', { inputs: PROMPT, parameters: more })).json).toEqual({
      generated_text: PROMPT + greedy.text,
      details: { finish_reason: 'length', generated_tokens: greedy.ids.length, seed: 3 },
    });
  });

  test('draws tokens where sampling is asked for, the same from the same seed', async () => {
    const parameters = { max_new_tokens: 8, do_sample: true, temperature: 1.5, seed: 5 };
    const texts = [];
    for (const seed of [5, 5, 6]) {
      const body = { inputs: PROMPT, parameters: { ...parameters, seed } };
      texts.push(
        ((await ask('/generate', body)).json as { generated_text: string }).generated_text,
      );
    }
    expect(texts[0]).toBe(texts[1]);
    expect(new Set([...texts, greedy.text]).size).toBe(3);
  });

  test("tells a text that a stop string ended from one that the model's end token did", async () => {
    const parameters = { max_new_tokens: 8, details: true, seed: 3 };
    const stop = greedy.text.slice(4, 6);
    const details = { finish_reason: 'stop_sequence', seed: 3 };
    expect(
      (await ask('/generate', { inputs: PROMPT, parameters: { ...parameters, stop: [stop] } }))
        .json,
    ).toMatchObject({ generated_text: greedy.text.slice(0, greedy.text.indexOf(stop)), details });

    const model = smallModel('llama', join(root, 'llama'));
    const ends = { eos_token_id: greedy.ids[3] };
    writeFileSync(join(model, 'generation_config.json'), JSON.stringify(ends));
    const ending = await createServer({ model, engine: 'portable' });
    try {
      expect((await ask('/generate', { inputs: PROMPT, parameters }, ending)).json).toMatchObject({
        details: {
          finish_reason: 'eos_token',
          generated_tokens: greedy.ids.indexOf(greedy.ids[3]!) + 1,
        },
      });
      const body = { model: 'llama', prompt: PROMPT, max_tokens: 8, temperature: 0 };
      expect((await ask('/v1/completions', body, ending)).json).toMatchObject({
        choices: [{ finish_reason: 'stop' }],
      });
    } finally {
      await ending.close();
    }
  });

  test.each([
    [{ inputs: 5 }, '"inputs" must be a text'],
    [{ inputs: 'a', parameters: { best_of: 2 } }, '"best_of" is not supported'],
    [{ inputs: 'a', parameters: { max_new_token: 2 } }, 'Did you mean "max_new_tokens"'],
    [{ inputs: 'a', stream: true }, '/v1/completions'],
    [{ inputs: 'a', parameters: { adapter_id: 'x' } }, 'There is no model "x"'],
  ])('refuses %j by name', async (body, message) => {
    const { status, json } = await ask('/generate', body);
    expect(status).toBeGreaterThanOrEqual(400);
    expect((json as { error: { message: string } }).error.message).toContain(message);
  });
});

test('/invocations with inputs gets a list of one text', async () => {
  const body = { inputs: PROMPT, parameters: { max_new_tokens: 8 } };
  expect((await ask('/invocations', body)).json).toEqual([{ generated_text: greedy.text }]);
});
