import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { generateTexts, generationDefaults, samplingDefaults } from '../src/index.js';
import { fixtureTokenizer, openFixture } from './fixture-models.js';

const tokenizer = fixtureTokenizer('llama');
let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
  model = openFixture('llama', engine);
});
afterAll(() => {
  model.dispose();
  engine.dispose();
});

const PROMPTS = ['The headphones', 'Der Kühlschrank läuft', 'one', 'I bought this kettle'];

describe('generateTexts', () => {
  test('streams the very texts that it returns, whatever the size of the batches', async () => {
    const streamed = PROMPTS.map(() => '');
    const made = await generateTexts(model, tokenizer, PROMPTS, {
      maxNewTokens: 8,
      batchSize: 3,
      onText: ({ prompt, text }) => void (streamed[prompt] += text),
    });
    expect(made.map(({ text }) => text)).toEqual(streamed);
    expect(made.map(({ ids }) => tokenizer.decode(ids))).toEqual(streamed);
    expect(
      await generateTexts(model, tokenizer, PROMPTS, { maxNewTokens: 8, batchSize: 1 }),
    ).toEqual(made);
    const ids = [...tokenizer.encode(PROMPTS[0]!).ids];
    expect(await generateTexts(model, tokenizer, [ids], { maxNewTokens: 8 })).toEqual([made[0]]);
  });

  test('stops before a stop string', async () => {
    const [whole] = await generateTexts(model, tokenizer, [PROMPTS[0]!], { maxNewTokens: 12 });
    const stop = whole!.text.slice(6, 9);
    const [made] = await generateTexts(model, tokenizer, [PROMPTS[0]!], {
      maxNewTokens: 12,
      stopStrings: [stop],
    });
    expect(made).toMatchObject({
      text: whole!.text.slice(0, whole!.text.indexOf(stop)),
      finishReason: 'stop',
    });
    expect(made!.ids.length).toBeLessThan(12);
  });

  test('refuses stop strings that are empty or meet a beam search', async () => {
    await expect(generateTexts(model, tokenizer, PROMPTS, { stopStrings: [''] })).rejects.toThrow(
      'a stop string must be a text that is not empty, got "".',
    );
    await expect(
      generateTexts(model, tokenizer, PROMPTS, { stopStrings: ['x'], beams: 2 }),
    ).rejects.toThrow('takes neither stop strings nor onText');
  });

  test('translates with an encoder-decoder, by beams too', async () => {
    const pair = openFixture('flan-t5', engine);
    const options = { ...generationDefaults({ config: pair.configJson }), maxNewTokens: 5 };
    const made = await generateTexts(
      pair,
      fixtureTokenizer('flan-t5'),
      ['a text', 'another one'],
      options,
    );
    const best = await generateTexts(pair, fixtureTokenizer('flan-t5'), ['a text', 'another one'], {
      ...options,
      beams: 3,
    });
    expect(
      made.every(({ ids, finishReason }) =>
        finishReason === 'end' ? ids.at(-1) === 1 : ids.length === 5,
      ),
    ).toBe(true);
    expect(best[0]!.score).toBeLessThan(0);
    pair.dispose();
  });
});

describe('end tokens by name', () => {
  test('end a text, and unknown ones are named', async () => {
    const model = openFixture('llama', engine);
    const options = { maxNewTokens: 6 };
    const [free] = await generateTexts(model, tokenizer, ['The headphones'], options);
    const third = tokenizer.idToToken(free!.ids[2]!)!;
    const [ended] = await generateTexts(model, tokenizer, ['The headphones'], {
      ...options,
      endTokens: [third],
    });
    const first = free!.ids.indexOf(free!.ids[2]!);
    expect(ended!.ids).toEqual(free!.ids.slice(0, first + 1));
    expect(ended!.finishReason).toBe('end');
    await expect(
      generateTexts(model, tokenizer, ['a'], { endTokens: ['<|im_ende|>'] }),
    ).rejects.toThrow('the vocabulary has no token "<|im_ende|>" to end a text.');
    model.dispose();
  });

  test('a prompt that begins with the begin token does not get a second one', async () => {
    const model = openFixture('llama', engine);
    const options = { maxNewTokens: 4 };
    const [plain, marked] = await generateTexts(
      model,
      tokenizer,
      ['The headphones', '<|begin_of_text|>The headphones'],
      options,
    );
    expect(marked!.ids).toEqual(plain!.ids);
    model.dispose();
  });
});

describe('the defaults of a checkpoint', () => {
  test('are its generation_config.json, then its config.json, then its tokenizer', () => {
    const config = { eos_token_id: 2, pad_token_id: 7 };
    expect(
      generationDefaults({
        config,
        generationConfig: { eos_token_id: [5, 6], decoder_start_token_id: 3 },
      }),
    ).toEqual({ endIds: [5, 6], startIds: [3] });
    expect(
      generationDefaults({
        config: { ...config, forced_bos_token_id: 9, forced_eos_token_id: 2 },
        generationConfig: { forced_bos_token_id: 250_020 },
      }),
    ).toEqual({ endIds: [2], startIds: [7], firstId: 250_020, lastId: 2 });
    expect(generationDefaults({ config })).toEqual({ endIds: [2], startIds: [7] });
    expect(generationDefaults({ config: {}, tokenizer })).toEqual({
      endIds: [tokenizer.specialIds.eos],
      startIds: [0],
    });
    expect(generationDefaults({ config: { eos_token_id: null } })).toEqual({
      endIds: [],
      startIds: [0],
    });
  });

  test('draw only where the checkpoint says so', () => {
    expect(
      samplingDefaults({ do_sample: true, temperature: 0.6, top_p: 0.9, repetition_penalty: 1.05 }),
    ).toEqual({ temperature: 0.6, topP: 0.9, repetitionPenalty: 1.05 });
    expect(samplingDefaults({ temperature: 0.6, top_k: 20 })).toEqual({});
    expect(samplingDefaults({ do_sample: true, temperature: 'hot', top_k: 0 })).toEqual({
      temperature: 1,
      topK: 0,
    });
  });
});
