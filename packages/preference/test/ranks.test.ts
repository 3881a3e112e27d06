/** Steps that several ranks prepare together: what one does for all, none does again. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainEventBus, type Collective, type ModelBatch } from '@peft/core';
import { adamw, constantSchedule } from '@peft/optim';
import {
  createBatchOrder,
  memoryCheckpointStore,
  runLocalRanks,
  train,
  type Task,
  type TrainingData,
  type TrainRequest,
} from '@peft/trainer';
import { describe, expect, it, vi } from 'vitest';
import {
  fileReferenceCache,
  groupPolicy,
  preference,
  preferenceData,
  promptData,
  rewardData,
  rewardModel,
  unpaired,
  unpairedData,
  unpairedPreference,
  type PreferenceRow,
  type PromptBatch,
  type Reward,
} from '../src/index.js';
import { lorasOf, templateOf, tokenizerOf, useGoldenModels } from './golden-model.js';

const tokenizer = tokenizerOf('llama');
const TEXTS = { tokenizer, template: templateOf('', tokenizer), maxLength: 64 };
const SAMPLING = {
  tokenizer,
  groupSize: 2,
  maxNewTokens: 4,
  endIds: [tokenizer.specialIds.eos!],
};
const ROWS: readonly PreferenceRow[] = [
  { prompt: 'Name a fruit.', chosen: ' An apple.', rejected: ' A stone.' },
  { prompt: 'Say hello', chosen: ' Hello there, my friend', rejected: ' No' },
  { prompt: 'Count to three', chosen: ' One, two, three', rejected: ' Seven' },
  { prompt: 'What is water?', chosen: ' Wet', rejected: ' A kind of stone that burns' },
  { prompt: 'Name a colour', chosen: ' Blue', rejected: ' Four' },
];
const PROMPTS = ROWS.map(({ prompt }) => ({ prompt, cells: {} }));

/** Tokens of even numbers are better. */
const even: Reward = {
  name: 'even',
  score: ({ completionIds }) => completionIds.filter((id) => id % 2 === 0).length,
};

const open = useGoldenModels();

interface Work<B extends ModelBatch> {
  readonly task: () => Task<B>;
  readonly data: TrainingData<B>;
  readonly isScore?: boolean;
  readonly changes?: (collective?: Collective) => Partial<TrainRequest<B>>;
}

/** Two epochs of a step of five micro-batches. */
const onRank =
  <B extends ModelBatch>({ task, data, isScore, changes }: Work<B>) =>
  async (collective?: Collective) => {
    const model = open('llama', {
      head: isScore ? { kind: 'sequence-classification', outputs: 1 } : { kind: 'causal-lm' },
    });
    const reference = vi.spyOn(model, 'withAdaptersDisabled');
    const bus = createTrainEventBus();
    const steps: unknown[] = [];
    bus.listen((event) => {
      if (event.type !== 'step/completed') return;
      const { loss, gradientNorm, metrics } = event;
      steps.push({ loss, gradientNorm, metrics });
    });
    const { reason, step } = await train({
      model,
      task: task(),
      data,
      order: createBatchOrder({
        lengths: data.lengths,
        batchSize: 5,
        microBatchSize: 1,
        seed: 0,
      }),
      optimizer: adamw(),
      schedule: constantSchedule({ learningRate: 0.02 }),
      options: { epochs: 2, dropout: false },
      bus,
      collective,
      ...changes?.(collective),
    });
    const values = lorasOf(model).flatMap(({ parameter }) => [...parameter.value.dataSync()]);
    return { reason, step, steps, values, references: reference.mock.calls.length };
  };

async function expectSharedByRanks<B extends ModelBatch>(work: Work<B>) {
  const alone = await onRank(work)();
  expect(alone.steps).toHaveLength(2);
  for (const size of [2, 3]) {
    const all = await runLocalRanks(size, onRank(work));
    for (const { values } of all) expect(values).toEqual(alone.values);
    expect(all[0]!.steps).toEqual(alone.steps);
    expect(all.reduce((sum, { references }) => sum + references, 0)).toBe(alone.references);
  }
  return alone;
}

describe('ranks end with the values of one, tell its metrics, and do nothing twice', () => {
  it('of pairs, whose reference is computed once a run', async () => {
    const { references } = await expectSharedByRanks({
      task: () => preference({ likelihoodWeight: 0.5 }),
      data: await preferenceData(ROWS, TEXTS),
    });
    expect(references).toBe(ROWS.length);
  });

  it('of pairs, whose reference rank 0 alone writes down', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reference-'));
    try {
      const data = await preferenceData(ROWS, TEXTS);
      const run = onRank({
        data,
        task: () => preference({ cache: fileReferenceCache(folder, '') }),
      });
      await runLocalRanks(2, run);
      const [file] = readdirSync(folder);
      expect(statSync(join(folder, file!)).size).toBe(2 * ROWS.length * 24);
      expect((await run()).references).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('of single answers, whose baseline is that of the whole step', async () => {
    await expectSharedByRanks({
      task: () => unpairedPreference(),
      data: await unpairedData(unpaired(ROWS).slice(0, 5), TEXTS),
    });
  });

  it('of reward models', async () => {
    await expectSharedByRanks({
      task: () => rewardModel(),
      data: await rewardData(ROWS, TEXTS),
      isScore: true,
    });
  });

  it('of completions, each of which is drawn and judged by one rank', async () => {
    let judged = 0;
    const counted: Reward = {
      ...even,
      score: (sample) => {
        judged += 1;
        return even.score(sample);
      },
    };
    await expectSharedByRanks({
      task: () => groupPolicy({ ...SAMPLING, rewards: [counted], klWeight: 0.05 }),
      data: await promptData(PROMPTS, { ...TEXTS, ...SAMPLING }),
    });
    // two steps, and a prompt that is asked for its loss at the end, on one, two and three ranks
    expect(judged).toBe(3 * (2 * PROMPTS.length + 1) * SAMPLING.groupSize);
  });
});

/** Stops within the second step, while completions are judged. */
async function stoppedWhileSampling(ranks: number) {
  const controller = new AbortController();
  const store = memoryCheckpointStore();
  let judged = 0;
  const work: Work<PromptBatch> = {
    task: () =>
      groupPolicy({
        ...SAMPLING,
        rewards: [
          {
            ...even,
            score: (sample) => {
              judged += 1;
              if (judged === 1.5 * PROMPTS.length * SAMPLING.groupSize) controller.abort();
              return even.score(sample);
            },
          },
        ],
      }),
    data: await promptData(PROMPTS, { ...TEXTS, ...SAMPLING }),
    changes: (collective) => ({
      store,
      signal: collective === undefined || collective.rank === 1 ? controller.signal : undefined,
    }),
  };
  const all = ranks === 1 ? [await onRank(work)()] : await runLocalRanks(ranks, onRank(work));
  expect(judged).toBeLessThan(2 * PROMPTS.length * SAMPLING.groupSize);
  return { all, store };
}

it.each([1, 2])('%i ranks stop while they sample, with a checkpoint', async (ranks) => {
  const { all, store } = await stoppedWhileSampling(ranks);
  for (const { reason, step } of all)
    expect({ reason, step }).toEqual({ reason: 'aborted', step: 1 });
  expect(await store.steps()).toEqual([1]);
});
