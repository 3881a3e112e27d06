import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { houlsby } from '@peft/adapter';
import type { MethodSpec, Model } from '@peft/core';
import { lora } from '@peft/lora';
import { attentionPrefix, prefixTuning, promptTuning } from '@peft/prompt-tuning';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { generate, type GenerationOptions } from '../src/index.js';
import { openFixture } from './fixture-models.js';

const PROMPTS = [[5, 9, 40, 7], [11], [3, 8, 120, 66, 21, 9, 14]];

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

let tensors = 0;
beforeEach(() => (tensors = tf.memory().numTensors));
afterEach(() => expect(tf.memory().numTensors).toBe(tensors));

async function withModel(name: string, body: (model: Model) => Promise<void>): Promise<void> {
  const model = openFixture(name, engine);
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

const idsOf = async (
  model: Model,
  options: GenerationOptions,
  prompts: readonly number[][] = PROMPTS,
): Promise<(readonly number[])[]> =>
  (await generate(model, prompts, options)).map(({ ids }) => ids);

describe('drawn texts', () => {
  test('follow from the seed, and neither from the cache nor from what shares the batch', () =>
    withModel('llama', async (model) => {
      const options = { maxNewTokens: 9, temperature: 1.2, topK: 40, topP: 0.9, seed: 4 };
      const drawn = await idsOf(model, options);
      expect(await idsOf(model, options)).toEqual(drawn);
      expect(await idsOf(model, { ...options, cache: false })).toEqual(drawn);
      expect((await idsOf(model, options, [PROMPTS[0]!]))[0]).toEqual(drawn[0]);
      expect(await idsOf(model, { ...options, seed: 5 })).not.toEqual(drawn);
      expect(drawn).not.toEqual(await idsOf(model, { maxNewTokens: 9 }));
    }));

  test('follow from a seed of their own, wherever the prompt stands, and tell their probabilities', () =>
    withModel('llama', async (model) => {
      const options = { maxNewTokens: 6, temperature: 1.1, withLogProbabilities: true };
      const [a, b, c] = PROMPTS as [number[], number[], number[]];
      const seeds = [7, 8, 9, 7, 10];
      // one prompt several times, which is read once
      const all = await generate(model, [a, b, a, a, c], { ...options, seeds });
      expect(all[3]).toEqual(all[0]);
      expect(all[2]!.ids).not.toEqual(all[0]!.ids);
      for (const [i, prompt] of [a, b, a, a, c].entries()) {
        const [alone] = await generate(model, [prompt], { ...options, seed: seeds[i]! });
        expect(all[i]).toEqual(alone);
        const text = [...prompt, ...alone!.ids];
        const logits = tf.tidy(() =>
          tf
            .logSoftmax(
              model.forward({
                inputIds: Int32Array.from(text),
                offsets: Int32Array.of(0, text.length),
              }).logits!,
            )
            .arraySync(),
        );
        alone!.ids.forEach((id, t) =>
          expect(alone!.logProbabilities![t]).toBeCloseTo(logits[prompt.length + t - 1]![id]!, 5),
        );
      }
      await expect(generate(model, [a, b], { ...options, seeds: [1] })).rejects.toThrow(
        'generation: 1 seeds were given for 2 prompts',
      );
      await expect(generate(model, [a], { beams: 2, withLogProbabilities: true })).rejects.toThrow(
        'beam search tells a score of each text',
      );
    }));

  test('have the frequencies of the distribution', () =>
    withModel('qwen2', async (model) => {
      // 400 first tokens among the three likeliest: their frequencies are within 4 deviations of
      // softmax(logits/0.8).
      const logits = tf.tidy(() =>
        model
          .forward(
            { inputIds: Int32Array.from(PROMPTS[0]!), offsets: Int32Array.of(0, 4) },
            { logitRows: 'last' },
          )
          .logits!.dataSync(),
      );
      const best = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, 3);
      const weights = best.map((id) => Math.exp((logits[id]! - logits[best[0]!]!) / 0.8));
      const drawn = (
        await idsOf(
          model,
          { maxNewTokens: 1, temperature: 0.8, topK: 3 },
          Array.from({ length: 400 }, () => PROMPTS[0]!),
        )
      ).map(([id]) => id);
      best.forEach((id, i) => {
        const expected = weights[i]! / weights.reduce((a, b) => a + b);
        expect(Math.abs(drawn.filter((each) => each === id).length / 400 - expected)).toBeLessThan(
          4 * Math.sqrt((expected * (1 - expected)) / 400),
        );
      });
    }));
});

describe('a text ends', () => {
  test('at an end token, which it holds, or when it is long enough; the others go on', () =>
    withModel('gpt2', async (model) => {
      const whole = await idsOf(model, { maxNewTokens: 8 });
      const end = whole[0]![3]!;
      const expected = whole.map((ids) =>
        ids.includes(end) ? ids.slice(0, ids.indexOf(end) + 1) : ids,
      );
      const made = await generate(model, PROMPTS, { maxNewTokens: 8, endIds: [end] });
      expect(made.map(({ ids }) => ids)).toEqual(expected);
      expect(made.map(({ finishReason }) => finishReason)).toEqual(
        expected.map((ids) => (ids.at(-1) === end ? 'end' : 'length')),
      );
    }));

  test('where a listener says so', () =>
    withModel('flan-t5', async (model) => {
      const seen: number[] = [];
      const made = await generate(model, PROMPTS, {
        maxNewTokens: 6,
        onToken: ({ prompt, count }) => (prompt === 1 && seen.push(count) === 2 ? true : undefined),
      });
      expect(made.map(({ ids, finishReason }) => [ids.length, finishReason])).toEqual([
        [6, 'length'],
        [2, 'stop'],
        [6, 'length'],
      ]);
      expect(seen).toEqual([1, 2]);
    }));

  test('and all of them, with nothing left behind, when the signal is aborted', () =>
    withModel('mistral', async (model) => {
      const controller = new AbortController();
      let tokens = 0;
      const generation = generate(model, PROMPTS, {
        signal: controller.signal,
        onToken: () => void ((tokens += 1) === 7 && controller.abort(new Error('enough'))),
      });
      await expect(generation).rejects.toThrow('enough');
      expect(tokens).toBe(9); // the third token of each of the three is still made
    }));
});

describe('with an adapter', () => {
  test.each<[string, string, MethodSpec]>([
    ['LoRA', 'llama', lora({ rank: 4, targets: ['q_proj', 'v_proj', 'down_proj'] })],
    ['bottleneck adapters', 'gpt2', houlsby({ reductionFactor: 4 })],
    ['virtual tokens', 'mistral', promptTuning({ virtualTokens: 3 })],
    ['virtual tokens', 'gpt2', promptTuning({ virtualTokens: 3 })],
    ['virtual tokens on both sides', 'mt5', promptTuning({ virtualTokens: 2 })],
    ['a prefix that stands for tokens', 'mistral', prefixTuning({ virtualTokens: 4 })],
    ['a prefix that stands for tokens', 'mt5', prefixTuning({ virtualTokens: 4 })],
    ['a prefix beside the text', 'llama', attentionPrefix({ prefixLength: 3, bottleneckSize: 8 })],
    [
      'a prefix beside the text',
      'flan-t5',
      attentionPrefix({ prefixLength: 3, bottleneckSize: 8 }),
    ],
  ])('%s (%s): the text is the same with and without a cache', (_, name, method) =>
    withModel(name, async (model) => {
      const plain = await idsOf(model, { maxNewTokens: 12 });
      const adapter = model.addAdapter('default', method, { seed: 3 });
      for (const { value } of adapter.parameters.values())
        tf.tidy(() =>
          value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.3, 'float32', 8))),
        ); // what starts as nothing shows, too
      const cached = await idsOf(model, { maxNewTokens: 12 });
      expect(cached).toEqual(await idsOf(model, { maxNewTokens: 12, cache: false }));
      expect(cached).not.toEqual(plain);
    }),
  );

  test('that looks at whole sequences, a cache is refused by name', () =>
    withModel('llama', async (model) => {
      model.addAdapter(
        'default',
        attentionPrefix({ prefixLength: 2, bottleneckSize: 4, useGating: true }),
      );
      await expect(generate(model, PROMPTS, { maxNewTokens: 2 })).rejects
        .toThrowErrorMatchingInlineSnapshot(`
        [PeftError: model.layers.0.self_attn: an adapter there looks at whole sequences (a gate, an invocation), and a run with a cache has only the new tokens.
          hint: generate with cache: false]
      `);
      expect(await idsOf(model, { maxNewTokens: 2, cache: false })).toHaveLength(3);
    }));

  test('of their own, prompts of one batch get what they get alone', () =>
    withModel('llama', async (model) => {
      for (const [seed, name] of ['a', 'b'].entries()) {
        const adapter = model.addAdapter(name, lora({ rank: 4, targets: ['q_proj', 'v_proj'] }), {
          seed,
        });
        for (const { value } of adapter.parameters.values())
          tf.tidy(() => value.assign(tf.randomNormal(value.shape, 0, 0.3, 'float32', seed + 1)));
      }
      const mixed = await idsOf(model, { maxNewTokens: 7, adapters: ['b', '__base__', 'a'] });
      for (const [b, name] of ['b', undefined, 'a'].entries()) {
        model.setActiveAdapters(...(name ? [name] : []));
        expect((await idsOf(model, { maxNewTokens: 7 }, [PROMPTS[b]!]))[0]).toEqual(mixed[b]);
      }
    }));
});

describe('refused are', () => {
  test.each<[string, GenerationOptions, string]>([
    ['beams that draw', { beams: 2, topK: 3 }, 'beam search takes the likeliest texts'],
    ['a temperature below 0', { temperature: -1 }, 'temperature must be at least 0, got -1'],
    ['a topP above 1', { topP: 1.5 }, 'topP must be in (0, 1], got 1.5'],
    ['unknown options', { maxTokens: 3 } as never, 'unknown option "maxTokens"'],
    ['another number of adapters', { adapters: ['a'] }, '1 adapters were named for 3 prompts'],
  ])('%s', (_, options, message) =>
    withModel(
      'gpt2',
      async (model) =>
        void (await expect(generate(model, PROMPTS, options)).rejects.toThrow(message)),
    ),
  );

  test('prompts without tokens, and models that write no text', async () => {
    await withModel(
      'gpt2',
      async (model) =>
        void (await expect(generate(model, [[1], []])).rejects.toThrow(
          'generation: prompt 1 has no tokens.',
        )),
    );
    const { tinyModels } = await import('@peft/testing');
    const classifier = tinyModels()[0]!.open(engine);
    await expect(generate(classifier, PROMPTS)).rejects.toThrow(
      'this bert has the head "sequence-classification", which writes no text',
    );
    classifier.dispose();
  });
});
