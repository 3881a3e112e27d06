import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import { predict } from '@peft/trainer';
import { describe, expect, it } from 'vitest';
import {
  rewardData,
  rewardModel,
  rewardScore,
  scoredTexts,
  type PreferenceRow,
} from '../src/index.js';
import {
  expectGolden,
  readGolden,
  stepOf,
  templateOf,
  tokenizerOf,
  useGoldenModels,
  type GoldenCase,
} from './golden-model.js';

/** What TRL's RewardTrainer computed: tools/golden/preference/make_preference_cases.py. */
interface Golden {
  readonly rows: readonly PreferenceRow[];
  readonly models: Readonly<
    Record<
      string,
      {
        readonly tokens: readonly Readonly<Record<'chosen_ids' | 'rejected_ids', number[]>>[];
        readonly margins: readonly number[];
        readonly head: string;
        readonly targets: string[];
        readonly cases: Readonly<Record<string, GoldenCase>>;
      }
    >
  >;
}
const golden = readGolden<Golden>('reward');

const openGolden = useGoldenModels();

describe.each(Object.entries(golden.models))('a reward model on a tiny %s', (name, wanted) => {
  const tokenizer = tokenizerOf(name);
  const options = { tokenizer, template: templateOf('', tokenizer), maxLength: 64 };
  const open = (): Model => {
    const made = openGolden(name, {
      head: { kind: 'sequence-classification', outputs: 1 },
      targets: wanted.targets,
      modulesToSave: [wanted.head],
    });
    for (const parameter of made.adapter('default').parameters.values()) {
      if (parameter.name.includes('lora_')) continue;
      const { shape, size } = parameter.value;
      const values = Float32Array.from({ length: size }, (_, i) => 0.2 * Math.cos(0.71 * i));
      tf.tidy(() => parameter.value.assign(tf.tensor(values, shape)));
    }
    return made;
  };

  it('makes the same tokens as TRL', async () => {
    const { inputIds, offsets } = (await rewardData(golden.rows, options)).pack([0, 1, 2, 3]);
    wanted.tokens.forEach(({ chosen_ids: chosen, rejected_ids: rejected }, p) => {
      expect([...inputIds.slice(offsets[2 * p], offsets[2 * p + 1])]).toEqual(chosen);
      expect([...inputIds.slice(offsets[2 * p + 1], offsets[2 * p + 2])]).toEqual(rejected);
    });
  });

  it.each(Object.entries(wanted.cases))('%s: loss and first gradients', async (label, expected) => {
    const model = open();
    const margins = label === 'reward_margin' ? wanted.margins : undefined;
    const data = await rewardData(golden.rows, { ...options, margins });
    const task = rewardModel(label === 'reward_centered' ? { centerWeight: 0.3 } : {});
    const step = await stepOf(model, task, [data.pack([3, 1]), data.pack([0, 2])]);
    expect(step.metrics['rewards/margins']).toBeCloseTo(expected.metrics['margin']!, 5);
    expect(step.metrics['rewards/accuracies']).toBe(expected.metrics['accuracy']);
    expectGolden(step, expected);
  });

  it('scores an answer alone as in its pair', async () => {
    const model = open();
    const pairs = await predict(model, rewardModel(), await rewardData(golden.rows, options));
    const answers = golden.rows.map(({ prompt, chosen }) => ({ prompt, answer: chosen }));
    const alone = await predict(model, rewardScore, await scoredTexts(answers, options));
    expect(alone.predictions).toEqual(pairs.predictions.map(([chosen]) => chosen));
  });

  it('leaves out what is too long, since a score is that of the whole text', async () => {
    const { skipped, cut, sources } = await rewardData(golden.rows, { ...options, maxLength: 30 });
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped).toEqual(cut);
    expect([...sources, ...skipped].sort()).toEqual([0, 1, 2, 3]);
  });
});
