import type { TrainEventOf } from '@peft/core';
import { createTrainEventBus } from '@peft/core';
import * as tf from '@tensorflow/tfjs';
import { tokenData } from '@peft/data';
import { adamw, constantSchedule } from '@peft/optim';
import {
  createBatchOrder,
  forwardTask,
  memoryCheckpointStore,
  train,
  type CheckpointStore,
} from '@peft/trainer';
import { describe, expect, it } from 'vitest';
import {
  advantages,
  groupPolicy,
  POLICY_LOSSES,
  policyLoss,
  promptData,
  repeatBatches,
  tokenReference,
  type Reward,
  type RewardScale,
} from '../src/index.js';
import {
  expectGolden,
  lorasOf,
  readGolden,
  stepOf,
  templateOf,
  tokenizerOf,
  useGoldenModels,
  type GoldenCase,
} from './golden-model.js';

/** What TRL's GRPOTrainer computed: tools/golden/preference/make_preference_cases.py. */
interface Golden {
  readonly prompts: readonly number[][];
  readonly completions: readonly number[][];
  readonly rewards: readonly number[];
  readonly group: number;
  readonly advantages: Readonly<Record<RewardScale, number[]>>;
  readonly cases: Readonly<
    Record<string, GoldenCase & { readonly old: number[][]; readonly reference: number[][] }>
  >;
}
const golden = readGolden<Readonly<Record<string, Golden>>>('grpo');

const openGolden = useGoldenModels();

describe.each(Object.entries(golden))('given completions of a tiny %s', (name, wanted) => {
  it.each(['group', 'batch', 'none'] as const)("advantages by %s are TRL's", (scale) => {
    const made = advantages(wanted.rewards, wanted.group, scale);
    wanted.advantages[scale].forEach((value, i) => expect(made[i]).toBeCloseTo(value, 5));
  });

  it.each(Object.entries(wanted.cases))(
    "%s: loss, clipping, KL and first gradients are TRL's",
    async (label, expected) => {
      const model = openGolden(name);
      const hasKl = label.endsWith('_kl');
      const loss = POLICY_LOSSES.find((each) => each.name === label.replace('_kl', ''))!;
      const clip = hasKl ? { clipLow: 0.1, clipHigh: 0.25 } : { clipLow: 0.2, clipHigh: 0.2 };
      const task = {
        name: 'given',
        ...policyLoss({ loss, klWeight: hasKl ? 0.3 : 0, maxNewTokens: 32, ...clip }),
      };
      const data = tokenData(
        wanted.prompts.map((prompt, i) => [
          {
            inputIds: [...prompt, ...wanted.completions[i]!],
            labels: [...prompt.map(() => -100), ...wanted.completions[i]!],
          },
        ]),
      );
      const part = async (rows: readonly number[]) => ({
        ...data.pack(rows),
        advantages: Float32Array.from(rows, (row) => wanted.advantages.group[row]!),
        old: Float32Array.from(rows.flatMap((row) => expected.old[row]!)),
        reference: hasKl ? await tokenReference(model, data.pack(rows)) : undefined,
      });
      const all = await part([0, 1, 2, 3, 4, 5]);
      all.reference?.forEach((value, i) =>
        expect(value).toBeCloseTo(expected.reference.flat()[i]!, 4),
      );
      expectGolden(await stepOf(model, task, [all]), expected);
      expectGolden(
        await stepOf(model, task, [await part([4, 0]), await part([5]), await part([2, 1, 3])]),
        expected,
      );
    },
  );
});

const PROMPTS = ['Name a fruit.', 'Say hello', 'Count to three', 'What is water?'];
const tokenizer = tokenizerOf('llama');
const endId = tokenizer.specialIds.eos!;
/** Tokens of even numbers are better. */
const even: Reward = {
  name: 'even',
  score: ({ completionIds }) =>
    completionIds.filter((id) => id % 2 === 0).length / completionIds.length,
};
const SAMPLING = { tokenizer, groupSize: 4, maxNewTokens: 6, endIds: [endId] };

async function run(
  reward: Reward,
  {
    steps = 4,
    resume = false,
    updates = 1,
    isRepeated = true,
    store = memoryCheckpointStore() as CheckpointStore,
  } = {},
) {
  const model = openGolden('llama', { targets: ['q_proj', 'v_proj', 'o_proj', 'down_proj'] });
  const data = await promptData(
    PROMPTS.map((prompt) => ({ prompt, cells: { prompt } })),
    { ...SAMPLING, template: templateOf('', tokenizer), maxLength: 64 },
  );
  const events: TrainEventOf<'step/completed'>[] = [];
  const bus = createTrainEventBus();
  bus.listen((event) => event.type === 'step/completed' && events.push(event));
  const order = createBatchOrder({
    lengths: data.lengths,
    batchSize: 4,
    microBatchSize: 2,
    seed: 0,
  });
  await train({
    model,
    task: groupPolicy({ ...SAMPLING, rewards: [reward], klWeight: 0.01, updates }),
    data,
    order: isRepeated ? repeatBatches(order, updates) : order,
    optimizer: adamw(),
    schedule: constantSchedule({ learningRate: 0.02 }),
    store,
    bus,
    options: { maxSteps: steps, dropout: false, checkpointEverySteps: 1, resume },
  });
  const values = lorasOf(model).flatMap(({ parameter }) => [...parameter.value.dataSync()]);
  return { values, events };
}

describe('sampling, judging and learning', () => {
  it('a step tells of rewards, KL, clipping and lengths', async () => {
    const { events } = await run(even, { steps: 1 });
    expect(Object.keys(events[0]!.metrics!).sort()).toEqual(
      ['clip_ratio', 'kl', 'lengths/completions', 'reward', 'reward_std', 'rewards/even'].sort(),
    );
    expect(events[0]!.metrics!['clip_ratio']).toBe(0);
    expect(events[0]!.metrics!['reward_std']).toBeGreaterThan(0);
  });

  it('a resumed run draws the same and ends with the same bytes', async () => {
    const whole = await run(even);
    const store = memoryCheckpointStore();
    await run(even, { steps: 2, store });
    const { values, events } = await run(even, { store, resume: true });
    expect(events.map(({ step }) => step)).toEqual([3, 4]);
    expect(values).toEqual(whole.values);
  });

  it('several steps learn from what one drew, clipped against it', async () => {
    let judged = 0;
    const counted: Reward = {
      ...even,
      score: (sample) => {
        judged += 1;
        return even.score(sample);
      },
    };
    const { events, values } = await run(counted, { steps: 6, updates: 3 });
    // two samplings of four groups of four, and a prompt that is asked for its loss at the end
    expect(judged).toBe(2 * 16 + 8);
    const told = (name: string) => events.map(({ metrics }) => metrics![name]!);
    const [reward, clipped] = [told('reward'), told('clip_ratio')];
    expect(reward.slice(0, 3)).toEqual([reward[0], reward[0], reward[0]]);
    expect(reward[3]).not.toBe(reward[0]);
    // the first step of each has ρ = 1
    expect([clipped[0], clipped[3]]).toEqual([0, 0]);
    for (const step of [1, 2, 4, 5]) expect(clipped[step]).toBeGreaterThan(0);
    // its first step is that of a run of one update each
    const single = await run(even, { steps: 1 });
    expect(events[0]!.loss).toBeCloseTo(single.events[0]!.loss, 6);
    expect(events[0]!.gradientNorm).toBeCloseTo(single.events[0]!.gradientNorm, 5);
    for (const stop of [4, 5]) {
      const store = memoryCheckpointStore();
      await run(even, { steps: stop, updates: 3, store });
      const resumed = await run(even, { steps: 6, updates: 3, store, resume: true });
      expect(resumed.values).toEqual(values);
    }
  });

  it('is planned with completions that share their prompt alone', async () => {
    const model = openGolden('llama');
    const task = groupPolicy({ ...SAMPLING, rewards: [even] });
    const data = await promptData(
      PROMPTS.map((prompt) => ({ prompt, cells: {} })),
      { ...SAMPLING, template: templateOf('', tokenizer), maxLength: 64 },
    );
    const batch = data.pack([0, 1]);
    const rows = tf.tidy(() => forwardTask(task, model, batch, {}).hidden.shape[0]);
    expect(rows).toBe(batch.inputIds.length + 2 * SAMPLING.groupSize * SAMPLING.maxNewTokens);
  });

  it('refuses an order whose steps have other prompts than what was drawn', async () => {
    await expect(run(even, { updates: 2, isRepeated: false })).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
    const store = memoryCheckpointStore();
    await run(even, { steps: 1, updates: 2, store });
    const saved = await store.open(1);
    const { task: held, ...state } = saved.state as { task: { batches: object[] } } & object;
    for (const damage of [
      undefined,
      { ...held, step: 'x' },
      { ...held, batches: [{ ...held.batches[0], offsets: [0, 3, 2] }, held.batches[1]] },
      { ...held, batches: [{ ...held.batches[0], old: ['NaN'] }, held.batches[1]] },
    ])
      await expect(
        run(even, {
          steps: 2,
          updates: 2,
          resume: true,
          store: {
            ...store,
            steps: () => store.steps(),
            open: async (step) => ({
              ...(await store.open(step)),
              state: { ...state, task: damage } as never,
            }),
          },
        }),
      ).rejects.toMatchObject({
        code: damage === undefined ? 'PEFT_CONFIG_INVALID' : 'PEFT_CHECKPOINT_DAMAGED',
      });
  });

  it.each([
    ['PEFT_REWARD_FAILED', () => JSON.parse('{') as number],
    ['PEFT_REWARD_INVALID', () => Number.NaN],
    ['PEFT_REWARD_INVALID', () => '1' as unknown as number],
  ] as const)('%s ends the run, and its checkpoint is whole', async (code, broken) => {
    let calls = 0;
    const store = memoryCheckpointStore();
    // the third step's first completion
    const score: Reward['score'] = (sample) => ((calls += 1) > 32 ? broken() : even.score(sample));
    await expect(run({ name: 'even', score }, { store })).rejects.toMatchObject({ code });
    const whole = await run(even);
    expect((await run(even, { store, resume: true })).values).toEqual(whole.values);
  });
});
