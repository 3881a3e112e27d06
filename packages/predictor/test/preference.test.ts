import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainEventOf } from '@peft/core';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import type { RewardSample } from '@peft/preference';
import { PeftPredictor, type FitOptions } from '../src/index.js';
import { fitted, NOUNS, predictorOf } from './quick-tasks.js';

let folder: string;
useTemporaryFolder((path) => (folder = path));

const pairs = NOUNS.map((noun) => ({
  prompt: `Is the ${noun} good?`,
  chosen: ` Yes, the ${noun} is good.`,
  rejected: ' No.',
}));
const labelled = pairs.flatMap(({ prompt, chosen, rejected }) => [
  { prompt, completion: chosen, label: true },
  { prompt, completion: rejected, label: false },
]);
const settings = {
  'optim.peft': 'lora',
  'optim.lr': 2e-2,
  'optim.max_epochs': 3,
  'optim.lr_schedule': 'constant',
  'optim.val_check_interval': 1,
} as const;

describe('preferences', () => {
  it.each([
    ['sigmoid', pairs],
    ['orpo', pairs],
    ['kto', labelled],
    ['kto', pairs],
  ] as const)('are learnt by %s, scored, saved and loaded', async (loss, rows) => {
    const path = join(folder, `${loss}-${rows.length}`);
    const { predictor, events } = predictorOf('preference', 'llama', {
      path,
      hyperparameters: { ...settings, 'optim.preference_loss': loss },
    });
    await fitted(predictor, rows);
    expect(predictor.fitSummary()).toMatchObject({ metric: 'reward_accuracy', validationScore: 1 });
    const steps = events.filter(
      (event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed',
    );
    expect(Object.keys(steps[0]!.metrics!)).toEqual(
      expect.arrayContaining(['rewards/chosen', 'rewards/rejected', 'logps/chosen']),
    );
    // all pairs are soon told apart; the margin still grows, and the last check is the best
    const checks = events.filter((event) => event.type === 'evaluation/completed');
    expect(checks.map(({ isBest }) => isBest)).toEqual([true, true, true]);
    expect(steps.at(-1)!.step).toBe(checks.at(-1)!.step);
    const scores = await predictor.evaluate(rows, {
      metrics: ['reward_accuracy', 'reward_margin'],
    });
    expect(scores['reward_accuracy']).toBe(1);
    expect(scores['reward_margin']).toBeGreaterThan(0.05);
    const [text] = await predictor.predict<string>([{ prompt: 'Is the cat good?' }]);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict([{ prompt: 'Is the cat good?' }])).toEqual([text]);
    expect(await loaded.evaluate(rows, { metrics: ['reward_margin'] })).toEqual({
      reward_margin: scores['reward_margin'],
    });
    loaded.dispose();
  });

  it('find the log-probabilities of a reference that another run computed', async () => {
    const cache = join(folder, 'references');
    const fit = async (name: string, hyperparameters: object) => {
      const { predictor, events } = predictorOf('preference', 'llama', {
        path: join(folder, name),
        hyperparameters: { ...settings, 'optim.max_epochs': 1, ...hyperparameters },
      });
      await fitted(predictor, pairs);
      predictor.dispose();
      const [step] = events.filter(
        (event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed',
      );
      return { loss: step!.loss, metrics: step!.metrics };
    };
    const size = (): number => {
      const [file, ...others] = readdirSync(cache);
      expect(others).toEqual([]);
      return statSync(join(cache, file!)).size;
    };
    const plain = await fit('plain', {});
    const kept = { 'optim.reference_cache': cache };
    expect(await fit('first', kept)).toEqual(plain);
    const first = size();
    expect(await fit('second', kept)).toEqual(plain);
    expect(size()).toBe(first); // nothing new was computed
    await fit('cut', { ...kept, 'model.hf_text.max_text_len': 12 });
    expect(size()).toBeGreaterThan(first);
    await expect(
      fitted(
        predictorOf('grpo', 'llama', { hyperparameters: { ...settings, ...kept } }).predictor,
        [{ prompt: 'the cat' }],
      ),
    ).rejects.toThrow('grpo does not read the setting optim.reference_cache');
  });

  it('end with the same bytes when resumed, with live dropout', async () => {
    const fit = async (name: string, epochs: number, resume = false) => {
      const path = join(folder, name);
      const controller = new AbortController();
      const { predictor } = predictorOf('preference', 'llama', {
        path,
        hyperparameters: {
          ...settings,
          'optim.dropout': true,
          'optim.preference_loss': 'robust',
          'optim.label_smoothing': 0.1,
          'optim.max_epochs': 2,
        },
      });
      predictor.listen((event) => {
        if (event.type === 'step/completed' && event.step === epochs) controller.abort();
      });
      await fitted(predictor, pairs, { resume, signal: controller.signal }).catch(
        (error: unknown) => expect(error).toMatchObject({ code: 'PEFT_RUN_ABORTED' }),
      );
      predictor.dispose();
      return path;
    };
    const whole = await fit('whole', -1);
    await fit('parts', 2);
    const parts = await fit('parts', -1, true);
    const bytes = (path: string) => readFileSync(join(path, 'adapter/adapter_model.safetensors'));
    expect(bytes(parts).equals(bytes(whole))).toBe(true);
  });

  it('go on from an adapter, and say that the reference is the base without it', async () => {
    const first = join(folder, 'first');
    const once = { ...settings, 'optim.max_epochs': 1 };
    const begun = predictorOf('preference', 'llama', { path: first, hyperparameters: once });
    await fitted(begun.predictor, pairs);
    begun.predictor.dispose();
    const warned = async (loss: string, options: FitOptions): Promise<boolean> => {
      const hyperparameters = { ...once, 'optim.preference_loss': loss };
      const { predictor, events } = predictorOf('preference', 'llama', { hyperparameters });
      await fitted(predictor, pairs, options);
      predictor.dispose();
      return events.some(
        (event) => event.type === 'run/warned' && event.code === 'PEFT_REFERENCE_BASE',
      );
    };
    expect(await warned('sigmoid', { adapter: first })).toBe(true);
    expect(await warned('sigmoid', { baseAdapter: first })).toBe(false);
    expect(await warned('orpo', { adapter: first })).toBe(false);
  });

  it('say what settings and columns do not go together', async () => {
    const fit = (rows: readonly object[], hyperparameters: object) =>
      fitted(predictorOf('preference', 'llama', { hyperparameters }).predictor, rows);
    await expect(fit(labelled, {})).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    await expect(fit(pairs, { 'optim.preference_loss': 'DPO' })).rejects.toMatchObject({
      hint: 'DPO is sigmoid, the default',
    });
    expect(() => new PeftPredictor({ task: 'kto' as 'preference' })).toThrow(
      expect.objectContaining({
        hint: 'KTO is a loss of preference: give the setting optim.preference_loss=kto',
      }),
    );
    await expect(
      fit(pairs, { 'optim.label_smoothing': 0.1, 'optim.preference_loss': 'hinge' }),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    await expect(
      fit(labelled, { 'optim.label_smoothing': 0.1, 'optim.preference_loss': 'kto' }),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    await expect(
      fit(
        labelled.filter(({ label }) => label),
        { 'optim.preference_loss': 'kto' },
      ),
    ).rejects.toMatchObject({ code: 'PEFT_PREFERENCE_LABELS' });
  });
});

describe('reward models', () => {
  it.each(['llama', 'bert'])('on a %s score answers, and load', async (name) => {
    const path = join(folder, name);
    const { predictor } = predictorOf('reward', name, {
      path,
      hyperparameters: { ...settings, 'model.hf_text.pooling_mode': 'mean' },
    });
    await fitted(predictor, pairs);
    expect(predictor.fitSummary()).toMatchObject({ metric: 'reward_accuracy', validationScore: 1 });
    const rows = [pairs[0]!, { ...pairs[0]!, chosen: pairs[0]!.rejected }];
    const scores = await predictor.predict<number>(rows);
    expect(scores[0]).toBeGreaterThan(scores[1]!);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(rows)).toEqual(scores);
    await expect(
      loaded.evaluate(pairs, { rewards: [{ name: 'any', score: () => 1 }] }),
    ).rejects.toThrow('reward is judged by no rewards, and 1 were given');
    loaded.dispose();
  });

  it('on a decoder have the head of its own family', async () => {
    const path = join(folder, 'own-head');
    const { predictor } = predictorOf('reward', 'llama', {
      path,
      evalMetric: 'reward_margin',
      hyperparameters: settings,
    });
    await fitted(predictor, pairs);
    expect(predictor.fitSummary().validationScore).toBeGreaterThan(0);
    predictor.dispose();
    const record = JSON.parse(readFileSync(join(path, 'predictor.json'), 'utf8')) as {
      task: unknown;
    };
    expect(record.task).toMatchObject({ name: 'reward', head: 'sequence-classification' });
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.evaluate(pairs, { metrics: 'reward_accuracy' })).toEqual({
      reward_accuracy: 1,
    });
    loaded.dispose();
  });
});

describe('rewards', () => {
  const prompts = NOUNS.slice(0, 4).map((noun) => ({ prompt: `the ${noun}`, wanted: noun }));
  const rewards = [
    { name: 'letters', score: ({ completion }: RewardSample) => completion.length / 10 },
    {
      name: 'wanted',
      score: ({ completion, row }: RewardSample) =>
        completion.includes(String(row['wanted'])) ? 1 : 0,
      weight: 2,
    },
  ];
  const quick = { ...settings, 'optim.max_epochs': 1, 'optim.group_size': 3 } as const;

  it('teach a model that writes, which loads and goes on to write', async () => {
    const path = join(folder, 'grpo');
    const { predictor, events } = predictorOf('grpo', 'llama', { path, hyperparameters: quick });
    await fitted(predictor, prompts, { rewards });
    expect(predictor.fitSummary()).toMatchObject({ metric: 'reward' });
    const [step] = events.filter(
      (event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed',
    );
    const { reward, ...metrics } = step!.metrics!;
    expect(reward).toBeCloseTo(metrics['rewards/letters']! + 2 * metrics['rewards/wanted']!, 6);
    const texts = await predictor.predict<string>(prompts);
    predictor.dispose();
    const loaded = await PeftPredictor.load(path, { engine: 'portable' });
    expect(await loaded.predict(prompts)).toEqual(texts);
    await expect(loaded.evaluate(prompts)).rejects.toMatchObject({ code: 'PEFT_REWARD_MISSING' });
    const letters = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
    const scores = await loaded.evaluate(prompts, { rewards: rewards.slice(0, 1) });
    expect(scores['reward']).toBeCloseTo(letters / 10, 6);
    loaded.dispose();
  });

  it('judge once what several steps learn from', async () => {
    const stepsOf = async (updates: number) => {
      const { predictor, events } = predictorOf('grpo', 'llama', {
        path: join(folder, `updates-${updates}`),
        hyperparameters: { ...quick, 'optim.policy_updates': updates, 'optim.clip_high': 0.01 },
      });
      await fitted(predictor, prompts, { rewards });
      predictor.dispose();
      return events
        .filter((event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed')
        .map(({ metrics }) => metrics!);
    };
    const [once, twice] = [await stepsOf(1), await stepsOf(2)];
    expect(twice).toHaveLength(2 * once.length);
    expect(twice[0]!['reward']).toBe(once[0]!['reward']);
    expect(twice[1]!['reward']).toBe(twice[0]!['reward']);
    expect(twice[0]!['clip_ratio']).toBe(0);
    expect(twice[1]!['clip_ratio']).toBeGreaterThan(0);
  });

  it('are needed, and one that gives NaN ends the run by name', async () => {
    const fit = (given?: FitOptions['rewards']) =>
      fitted(predictorOf('grpo', 'llama', { hyperparameters: quick }).predictor, prompts, {
        rewards: given,
      });
    await expect(fit()).rejects.toMatchObject({ code: 'PEFT_REWARD_MISSING' });
    await expect(fit([{ name: 'broken', score: () => Number.NaN }])).rejects.toMatchObject({
      code: 'PEFT_REWARD_INVALID',
    });
  });
});
