import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { MethodSpec, Model } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { prefixTuning } from '@peft/prompt-tuning';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { ContinuousBatch, generate, type BatchRequest, type BatchToken } from '../src/index.js';
import { openFixture } from './fixture-models.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

let tensors = 0;
beforeEach(() => (tensors = tf.memory().numTensors));
afterEach(() => expect(tf.memory().numTensors).toBe(tensors));

const ADAPTERS: Readonly<Record<string, MethodSpec>> = {
  warm: lora({ rank: 4, targets: ['q_proj', 'v_proj'] }),
  cold: ia3({ targets: ['k_proj', 'v_proj'], feedforwardModules: [] }),
  front: prefixTuning({ virtualTokens: 3 }),
};

/** A model with adapters that change what it says. */
async function withModel(name: string, body: (model: Model) => Promise<void>): Promise<void> {
  const model = openFixture(name, engine);
  try {
    for (const [adapter, spec] of Object.entries(ADAPTERS)) {
      model.addAdapter(adapter, spec);
      for (const [index, { value }] of model.trainables().entries())
        tf.tidy(() =>
          value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.4, 'float32', index + 7))),
        );
    }
    model.setActiveAdapters();
    await body(model);
  } finally {
    model.dispose();
  }
}

const request = (
  promptIds: readonly number[],
  adapter: string,
  rest: Partial<BatchRequest> = {},
): BatchRequest => ({ promptIds, adapter, maxNewTokens: 8, ...rest });

/** What `generate` makes of a request alone. */
async function alone(model: Model, { promptIds, adapter, ...rest }: BatchRequest) {
  const { maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, endIds } = rest;
  model.setActiveAdapters(...(adapter === '__base__' ? [] : [adapter!]));
  const options = { maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, endIds };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return (await generate(model, [promptIds], Object.fromEntries(given)))[0]!;
}

const LONG = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % 120);

describe('a continuous batch', () => {
  test.each(['llama', 'qwen3'])(
    'gives texts of different adapters that come and go what each gives alone: %s',
    (name) =>
      withModel(name, async (model) => {
        const requests = [
          request([5, 9, 40, 7], '__base__'),
          request(LONG, 'warm', { maxNewTokens: 5 }),
          request([11], 'cold', { temperature: 1.1, topK: 30, seed: 3 }),
          request([3, 8, 120, 66], 'front'),
          request([3, 8, 120, 66], 'warm', { repetitionPenalty: 1.4, maxNewTokens: 11 }),
          request(LONG.slice(0, 21), 'front', { maxNewTokens: 3 }),
        ];
        const wanted = [];
        for (const each of requests) wanted.push(await alone(model, each));
        expect(new Set(wanted.map(({ ids }) => ids.join())).size).toBe(requests.length);
        const batch = new ContinuousBatch(model, { prefillTokens: 7, maxSequences: 4 });
        // each of the later ones comes when the one before has made its second token
        const made: Promise<unknown>[] = [];
        await new Promise<void>((resolve) => {
          const submit = (index: number): void => {
            if (index === requests.length) return resolve();
            const onToken = ({ count }: BatchToken): void => {
              if (count === 2) submit(index + 1);
            };
            made.push(batch.submit({ ...requests[index]!, onToken }));
          };
          submit(0);
        });
        expect(await Promise.all(made)).toEqual(wanted);
        expect(batch.running + batch.waiting).toBe(0);
        expect(batch.cacheBytes).toBe(0);
        batch.dispose();
      }),
  );

  test('makes a token of each running text between two pieces of a long prompt', () =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model, { prefillTokens: 4 });
      const order: string[] = [];
      await Promise.all([
        batch.submit(
          request([5, 9], '__base__', {
            maxNewTokens: 20,
            onToken: ({ count }) => {
              order.push('short');
              if (count !== 2) return;
              void batch.submit(
                request(LONG, 'warm', { maxNewTokens: 1, onToken: () => void order.push('long') }),
              );
            },
          }),
        ),
      ]);
      // 40 tokens are ten pieces: ten tokens of the other text pass by
      expect(order.indexOf('long')).toBe(2 + LONG.length / 4 - 1);
      batch.dispose();
    }));

  test('tells probabilities that sum to one, likeliest first', () =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model);
      const told: BatchToken[] = [];
      await batch.submit(
        request([5, 9, 40], '__base__', {
          maxNewTokens: 3,
          logProbabilities: 5000,
          onToken: (token) => void told.push(token),
        }),
      );
      for (const { id, logProbability, likeliest } of told) {
        expect(likeliest![0]).toEqual({ id, logProbability });
        expect(likeliest!.reduce((sum, one) => sum + Math.exp(one.logProbability), 0)).toBeCloseTo(
          1,
          5,
        );
      }
      batch.dispose();
    }));

  test('ends a text that is aborted, and lets the others go on', () =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model, { prefillTokens: 4 });
      const [controller, late] = [new AbortController(), new AbortController()];
      const wanted = await alone(model, request([3, 8], 'warm'));
      const stopped = batch.submit(
        request(LONG, '__base__', {
          signal: controller.signal,
          onToken: ({ count }) => {
            if (count === 2) controller.abort(new Error('gone'));
          },
        }),
      );
      const unread = batch.submit(request(LONG, '__base__', { signal: late.signal }));
      const other = batch.submit(
        request([3, 8], 'warm', {
          onToken: ({ count }) => (count === 1 ? late.abort() : undefined),
        }),
      );
      const results = await Promise.allSettled([stopped, unread, other]);
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
      expect(results[0]).toMatchObject({ reason: { message: 'gone' } });
      expect(results[2]).toMatchObject({ value: wanted });
      expect(batch.cacheBytes).toBe(0);
      batch.dispose();
    }));

  test('rejects a text whose listener throws, and lets the others go on', () =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model);
      const wanted = await alone(model, request([3, 8], 'cold'));
      const [bad, good] = await Promise.allSettled([
        batch.submit(
          request([3, 8], 'cold', {
            onToken: () => {
              throw new Error('a listener of mine');
            },
          }),
        ),
        batch.submit(request([3, 8], 'cold')),
      ]);
      expect(bad).toMatchObject({ reason: { message: 'a listener of mine' } });
      expect(good).toMatchObject({ value: wanted });
      batch.dispose();
    }));

  test.each([
    ['more texts than may wait', { maxWaiting: 1 }, [5], 'PEFT_BATCH_FULL'],
    ['a text that never fits', { maxCacheTokens: 12 }, [5, 6, 7, 8, 9], 'PEFT_BATCH_TOO_LONG'],
    ['an empty prompt', {}, [], 'PEFT_GENERATION_PROMPT'],
    ['an id beyond the vocabulary', {}, [5, 1e7], 'PEFT_TOKEN_ID_RANGE'],
  ])('refuses %s', (_, options, promptIds, code) =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model, options);
      const first = batch.submit(request([5], '__base__', { maxNewTokens: 1 }));
      await expect(batch.submit(request(promptIds, '__base__'))).rejects.toMatchObject({ code });
      await first;
      batch.dispose();
    }),
  );

  test('rejects what is on its way when it is disposed of', () =>
    withModel('llama', async (model) => {
      const batch = new ContinuousBatch(model);
      const made = batch.submit(
        request([5], '__base__', {
          onToken: ({ count }) => (count === 2 ? batch.dispose() : undefined),
        }),
      );
      await expect(made).rejects.toMatchObject({ code: 'PEFT_BATCH_DISPOSED' });
      await expect(batch.submit(request([5], '__base__'))).rejects.toMatchObject({
        code: 'PEFT_BATCH_DISPOSED',
      });
    }));
});

describe('a continuous batch of an encoder-decoder', () => {
  test.each([
    ['t5', ['q', 'v']],
    ['bart', ['q_proj', 'v_proj']],
  ] as const)('gives each text what it gets alone: %s', async (name, targets) => {
    const model = openFixture(name, engine, true);
    try {
      model.addAdapter('warm', lora({ rank: 4, targets: [...targets] }));
      for (const { value } of model.trainables())
        tf.tidy(() =>
          value.assign(tf.add(value, tf.randomNormal(value.shape, 0, 0.4, 'float32', 7))),
        );
      const requests = [
        request([5, 9, 40, 7], '__base__'),
        request(LONG, 'warm', { maxNewTokens: 5, startIds: [2], firstId: 11 }),
        request([5, 9, 40, 7], 'warm', { temperature: 1.1, topK: 30, seed: 3, lastId: 1 }),
      ];
      const wanted = [];
      for (const { promptIds, adapter, ...options } of requests) {
        model.setActiveAdapters(...(adapter === '__base__' ? [] : [adapter!]));
        wanted.push((await generate(model, [promptIds], options))[0]);
      }
      expect(wanted[1]!.ids[0]).toBe(11);
      expect(wanted[2]!.ids.at(-1)).toBe(1);
      expect(new Set(wanted.map((made) => made!.ids.join())).size).toBe(3);
      const batch = new ContinuousBatch(model, { maxSequences: 2 });
      const order: number[] = [];
      const made = requests.map((each, index) =>
        batch.submit({ ...each, onToken: () => void order.push(index) }),
      );
      expect(await Promise.all(made)).toEqual(wanted);
      expect(order.slice(0, 4)).toEqual([0, 0, 1, 0]); // side by side
      expect(batch.cacheBytes).toBe(0);
      batch.dispose();
    } finally {
      model.dispose();
    }
  });
});
