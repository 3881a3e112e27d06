import type { TrainEventOf } from '@peft/core';
import { createTrainEventBus } from '@peft/core';
import { tokenData } from '@peft/data';
import { adamw, constantSchedule } from '@peft/optim';
import {
  createBatchOrder,
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
      const hasKl = label === 'grpo_kl';
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
      const part = (rows: readonly number[]) => ({
        ...data.pack(rows),
        advantages: Float32Array.from(rows, (row) => wanted.advantages.group[row]!),
        old: Float32Array.from(rows.flatMap((row) => expected.old[row]!)),
        reference: hasKl ? tokenReference(model, data.pack(rows)) : undefined,
      });
      const all = part([0, 1, 2, 3, 4, 5]);
      all.reference?.forEach((value, i) =>
        expect(value).toBeCloseTo(expected.reference.flat()[i]!, 4),
      );
      expectGolden(await stepOf(model, task, [all]), expected);
      expectGolden(await stepOf(model, task, [part([4, 0]), part([5]), part([2, 1, 3])]), expected);
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
  { steps = 4, resume = false, store = memoryCheckpointStore() as CheckpointStore } = {},
) {
  const model = openGolden('llama', { targets: ['q_proj', 'v_proj', 'o_proj', 'down_proj'] });
  const data = await promptData(
    PROMPTS.map((prompt) => ({ prompt, cells: { prompt } })),
    { ...SAMPLING, template: templateOf('', tokenizer), maxLength: 64 },
  );
  const events: TrainEventOf<'step/completed'>[] = [];
  const bus = createTrainEventBus();
  bus.listen((event) => event.type === 'step/completed' && events.push(event));
  await train({
    model,
    task: groupPolicy({ ...SAMPLING, rewards: [reward], klWeight: 0.01 }),
    data,
    order: createBatchOrder({ lengths: data.lengths, batchSize: 4, microBatchSize: 2, seed: 0 }),
    optimizer: adamw(),
    schedule: constantSchedule({ learningRate: 0.02 }),
    store,
    bus,
    options: { maxSteps: steps, dropout: false, checkpointEverySteps: 2, resume },
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
