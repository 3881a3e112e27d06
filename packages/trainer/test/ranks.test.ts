import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { bitfit } from '@peft/bitfit';
import type { PackedBatch } from '@peft/data';
import { combineMethods, type Collective, type MethodSpec, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { createOptimizer, pagedStateStore } from '@peft/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  classification,
  folderCheckpointStore,
  memoryCheckpointStore,
  runLocalRanks,
  train,
  type CheckpointStore,
  type ClassificationBatch,
  type TrainRequest,
} from '../src/index.js';
import {
  adapterBytes,
  tinyData,
  tinyModel,
  tinyOrder,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

const ROLES = { roles: ['attention.query', 'attention.value'] } as const;
const loraMethod = (): MethodSpec => lora({ rank: 2, dropout: 0.2, targets: ROLES });
const ia3Bias = (): MethodSpec => combineMethods('ia3_bias', ia3({ targets: ROLES }), bitfit());

/** 5 micro-batches of uneven lengths a step, and a last step of 3 rows. */
const unevenOrder = tinyOrder(tinyData(), {
  batchSize: 7,
  microBatchSize: 2,
  maxTokensPerMicroBatch: 14,
});

type Changes = Partial<TrainRequest<ClassificationBatch>>;

interface Ranks {
  readonly method?: () => MethodSpec;
  /** What a rank is asked for beside the rest. */
  readonly changes?: (model: Model, collective: Collective) => Changes;
}

const onRank =
  ({ method = loraMethod, changes }: Ranks) =>
  async (collective?: Collective) => {
    const model = await tinyModel('bert', method());
    try {
      const own = changes?.(model, collective ?? ({ rank: 0, size: 1 } as Collective));
      const { request, events } = tinyRun(model, { order: unevenOrder, collective, ...own });
      const result = await train(request);
      return { result, events, bytes: adapterBytes(model) };
    } finally {
      model.dispose();
    }
  };

/** Trains on one rank and on several and expects the same of each. @returns what one rank gave. */
async function expectSameOnRanks(ranks: Ranks, sizes: readonly number[] = [2, 4]) {
  const alone = await onRank(ranks)();
  for (const size of sizes) {
    const all = await runLocalRanks(size, onRank(ranks));
    for (const [rank, { bytes, result, events }] of all.entries()) {
      expect(bytes, `rank ${rank} of ${size}`).toEqual(alone.bytes);
      expect(timeless(result)).toEqual(timeless(alone.result));
      expect(events.map(({ type }) => type)).toEqual(
        rank === 0 ? alone.events.map(({ type }) => type) : [],
      );
    }
  }
  return alone;
}

const timeless = (result: Awaited<ReturnType<typeof train>>) => ({
  ...result,
  durationMs: 0,
  peakMemoryBytes: 0,
});

let folder: string;
let tensors: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-ranks-'));
  tensors = tf.memory().numTensors;
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  expect(tf.memory().numTensors).toBe(tensors);
});

describe('2, 3 and 4 ranks end with the bytes of one', () => {
  it('with LoRA and its dropout', async () => {
    await expectSameOnRanks({ method: loraMethod }, [2, 3, 4]);
  });

  it.each([1, 300])('with gradients in buckets of %i bytes', async (bucketBytes) => {
    await expectSameOnRanks(
      { method: ia3Bias, changes: () => ({ options: { bucketBytes } }) },
      [2, 3, 4],
    );
  });

  it('with ia3_bias, whose steps have fewer micro-batches than ranks', async () => {
    await expectSameOnRanks({
      method: ia3Bias,
      changes: () => ({ order: tinyOrder(tinyData(), { batchSize: 5, microBatchSize: 3 }) }),
    });
  });

  it('with AdaLoRA, whose hooks drop ranks by their gradients', async () => {
    await expectSameOnRanks({
      method: () =>
        adalora({
          initialRank: 3,
          targetRank: 1,
          totalSteps: 8,
          initialSteps: 1,
          finalSteps: 3,
          targets: ROLES,
        }),
    });
  });

  it('with 8-bit optimiser state in a page file', async () => {
    await expectSameOnRanks({
      changes: (_, { rank }) => ({
        optimizer: createOptimizer('adamw_8bit'),
        stateStore: pagedStateStore({
          residentBytes: 0,
          pageBytes: 2048,
          directory: join(folder, `pages-${rank}`),
        }),
      }),
    });
  });

  it('with a step that is left out, as one rank found it not finite', async () => {
    const task = classification({ classes: 2 });
    const { events } = await expectSameOnRanks({
      changes: () => ({
        task: {
          ...task,
          loss: (output, batch) =>
            // row 11 is in one micro-batch of each epoch
            (batch as PackedBatch & typeof batch).rows?.includes(11)
              ? tf.mul(task.loss(output, batch), Number.NaN)
              : task.loss(output, batch),
        },
      }),
    });
    expect(events.filter(({ type }) => type === 'run/warned')).toMatchObject([
      { code: 'PEFT_TRAIN_NOT_FINITE' },
      { code: 'PEFT_TRAIN_NOT_FINITE' },
    ]);
  });

  it('with early stopping and a greedy soup, which rank 0 scores', async () => {
    const scored: number[] = [];
    const { result } = await expectSameOnRanks({
      changes: (model, { rank }) => {
        const { evaluate, validation } = tinyValidation(model);
        return {
          store: memoryCheckpointStore(),
          evaluate: (signal) => {
            scored.push(rank);
            return evaluate(signal);
          },
          options: {
            epochs: 8,
            topK: 2,
            validation: { ...validation, metric: 'loss', direction: 'max', patience: 3 },
          },
        };
      },
    });
    expect(result.reason).toBe('stopped-early');
    expect(new Set(scored)).toEqual(new Set([0]));
  });
});

describe('a run that is stopped', () => {
  const whole = () => onRank({})();
  const part = (store: CheckpointStore, changes: (collective: Collective) => Changes): Ranks => ({
    changes: (_, collective) => ({
      // only rank 0's is used
      store: collective.rank === 0 ? store : memoryCheckpointStore(),
      ...changes(collective),
      options: { resume: true, ...changes(collective).options },
    }),
  });

  it('goes on with other numbers of ranks to the same bytes', async () => {
    const store = folderCheckpointStore(join(folder, 'checkpoints'));
    const until = (maxSteps: number) =>
      part(store, () => ({ options: { maxSteps, checkpointEverySteps: 1 } }));
    const [two] = await runLocalRanks(2, onRank(until(2)));
    expect(two!.result.step).toBe(2);
    const [one] = [await onRank(until(4))()];
    expect(one.events[0]).toMatchObject({ type: 'run/started', resumedAtStep: 2 });
    const four = await runLocalRanks(4, onRank(part(store, () => ({}))));
    expect(four[0]!.events[0]).toMatchObject({ type: 'run/started', resumedAtStep: 4 });
    const { bytes } = await whole();
    for (const rank of four) expect(rank.bytes).toEqual(bytes);
  });

  it('ends on all ranks after the same step when a single one is asked to stop', async () => {
    const store = memoryCheckpointStore();
    const controller = new AbortController();
    let packed = 0;
    const data = tinyData();
    const stopped = part(store, ({ rank }) => ({
      signal: rank === 2 ? controller.signal : undefined,
      data: {
        ...data,
        pack: (rows) => {
          packed += 1;
          if (packed === 40) controller.abort();
          return data.pack(rows);
        },
      },
    }));
    const all = await runLocalRanks(3, onRank(stopped));
    const steps = all.map(({ result: { reason, step } }) => ({ reason, step }));
    expect(steps[0]!.reason).toBe('aborted');
    expect(steps[0]!.step).toBeGreaterThan(0);
    expect(new Set(steps.map(({ step }) => step)).size).toBe(1);
    expect(await store.steps()).toEqual([steps[0]!.step]);
    const rest = await onRank(part(store, () => ({})))();
    expect(rest.bytes).toEqual((await whole()).bytes);
  });

  it('ends on all ranks by the clock of rank 0', async () => {
    let now = 0;
    const limited = part(memoryCheckpointStore(), ({ rank }) => ({
      clock: { now: () => (rank === 0 ? (now += 1) : 0) },
      options: { timeLimitMs: 12 },
    }));
    const all = await runLocalRanks(2, onRank(limited));
    expect(all[0]!.result.reason).toBe('stopped-early');
    expect(all[1]!.result).toMatchObject({ reason: 'stopped-early', step: all[0]!.result.step });
  });

  it('fails on all ranks with what rank 0 could not write', async () => {
    const store: CheckpointStore = {
      ...memoryCheckpointStore(),
      save: () =>
        Promise.reject(
          new PeftError('PEFT_CHECKPOINT_WRITE', 'the disk is full.', { hint: 'free some of it' }),
        ),
    };
    const codes = await runLocalRanks(3, (collective) =>
      onRank(part(store, () => ({})))(collective).then(
        () => 'no error',
        (error: unknown) => (error as PeftError).message,
      ),
    );
    expect(new Set(codes)).toEqual(new Set(['the disk is full.\n  hint: free some of it']));
  });

  it('fails on the others when one rank fails', async () => {
    const task = classification({ classes: 2 });
    const failing: Ranks = {
      changes: (_, { rank }) => ({
        task: {
          ...task,
          loss: (output, batch) => {
            if (rank === 1) throw new RangeError('Array buffer allocation failed');
            return task.loss(output, batch);
          },
        },
      }),
    };
    const others: unknown[] = [];
    await expect(
      runLocalRanks(3, (collective) =>
        onRank(failing)(collective).catch((error: unknown) => {
          if (collective.rank !== 1) others.push((error as PeftError).code);
          throw error;
        }),
      ),
    ).rejects.toMatchObject({ code: 'PEFT_MEMORY_EXHAUSTED' });
    expect(others).toEqual(['PEFT_RANK_LOST', 'PEFT_RANK_LOST']);
  });
});

it('ranks with other data or settings are refused by name', async () => {
  const other: Ranks = {
    changes: (_, { rank }) => ({
      data: tinyData(24, rank === 1 ? 6 : 5),
      options: { settings: { 'training data': rank === 1 ? 'b' : 'a' } },
    }),
  };
  await expect(runLocalRanks(2, onRank(other))).rejects.toThrow(
    /^trainer: rank 1 has other settings than rank 0: .*training data \("b" there, "a" on rank 0\)\.\n {2}hint: every rank/,
  );
});

it('warns where several ranks go on with a run that added gradients one by one', async () => {
  const store = memoryCheckpointStore();
  await onRank({ changes: () => ({ store, options: { maxSteps: 2 } }) })();
  const earlier: CheckpointStore = {
    ...store,
    open: async (step) => {
      const opened = await store.open(step);
      return { ...opened, state: { ...opened.state, gradientSum: undefined } };
    },
  };
  const resumed: Ranks = { changes: () => ({ store: earlier, options: { resume: true } }) };
  const alone = await onRank(resumed)();
  expect(alone.events.some(({ type }) => type === 'run/warned')).toBe(false);
  const earlierAgain = await runLocalRanks(2, onRank(resumed));
  expect(earlierAgain[0]!.events).toContainEqual(
    expect.objectContaining({ type: 'run/warned', code: 'PEFT_CHECKPOINT_SUM_ORDER' }),
  );
  expect(earlierAgain[0]!.bytes).toEqual(alone.bytes);
});
