/** Language models that learn on an engine of which nothing can be read at once. */
import { createTrainEventBus, type Model, type ModelBatch, type TrainEvent } from '@peft/core';
import { tokenData } from '@peft/data';
import { adamw } from '@peft/optim';
import { actAsDevice } from '@peft/testing';
import {
  causalLanguageModel,
  createBatchOrder,
  embeddings,
  predict,
  train,
  type Task,
  type TrainingData,
} from '@peft/trainer';
import { describe, expect, test } from 'vitest';
import { preference, preferenceData, type PreferenceRow } from '../src/index.js';
import {
  readGolden,
  templateOf,
  tokenizerOf,
  useGoldenModels,
  type GoldenModelOptions,
} from './golden-model.js';

const openGolden = useGoldenModels();
const { rows, template } = readGolden<{
  readonly rows: readonly PreferenceRow[];
  readonly template: string;
}>('llama');
const tokenizer = tokenizerOf('llama');
const ids = (row: number, length: number): number[] =>
  Array.from({ length }, (_, n) => 5 + ((row * 11 + n * 7) % 60));

interface Case<B extends ModelBatch> {
  readonly model: readonly [name: string, options?: GoldenModelOptions];
  readonly task: () => Task<B>;
  readonly data: () => TrainingData<B> | Promise<TrainingData<B>>;
  /** Of a step of one micro-batch: what training reads, and what the task measures. */
  readonly readings: number;
}

const texts = () =>
  tokenData(
    [7, 12, 9, 5].map((length, row) => [{ inputIds: ids(row, length), labels: ids(row, length) }]),
  );
const causal = (name: string, options?: GoldenModelOptions): Case<never> => ({
  model: [name, options],
  task: () => causalLanguageModel() as never,
  data: () => texts() as never,
  readings: 1,
});

const cases: Readonly<Record<string, Case<never>>> = {
  'a causal model, whose loss is made in chunks of the vocabulary': causal('llama'),
  'a mixture of experts': causal('mixtral'),
  'a mixture of experts whose best groups are chosen first': causal('deepseek_v3', {
    targets: ['q_a_proj', 'o_proj'],
  }),
  'DPO, with its reference and its measures': {
    model: ['llama'],
    task: () => preference() as never,
    data: () =>
      preferenceData(rows, {
        tokenizer,
        template: templateOf(template, tokenizer),
        maxLength: 64,
        truncation: 'keep_start',
      }) as never,
    readings: 1 + 4,
  },
  'embeddings of texts': {
    model: ['bert', { head: { kind: 'none' }, targets: ['query', 'value'] }],
    task: () => embeddings() as never,
    data: () =>
      tokenData(
        [6, 4, 8, 5].map((length, row) =>
          [ids(row, length), ids(row, length - 1)].map((inputIds) => ({
            inputIds,
            labels: inputIds,
          })),
        ),
      ) as never,
    readings: 1,
  },
};

/** Losses and measures of three steps, readings of the later ones, and predictions. */
async function learn(
  { model: [name, options], task: makeTask, data: makeData }: Case<never>,
  acts: boolean,
) {
  const model: Model = openGolden(name, options);
  const device = acts ? actAsDevice(model.engine) : undefined;
  try {
    const [task, data] = [makeTask(), await makeData()];
    const bus = createTrainEventBus((error) => {
      throw error;
    });
    const events: Extract<TrainEvent, { type: 'step/completed' }>[] = [];
    const readings: number[] = [];
    bus.listen((event) => {
      if (event.type !== 'step/completed') return;
      events.push(event);
      readings.push(device?.reads ?? 0);
    });
    await train({
      model,
      task,
      data,
      order: createBatchOrder({ lengths: data.lengths, batchSize: data.lengths.length, seed: 1 }),
      optimizer: adamw(),
      schedule: () => 0.02,
      bus,
      options: { epochs: 3, select: 'last' },
    });
    const { loss } = await predict(model, task, data, { withLoss: true });
    return {
      losses: [...events.map((event) => event.loss), loss!],
      metrics: events.flatMap(({ metrics = {} }) => Object.values(metrics)),
      readings: readings.slice(1).map((count, i) => count - readings[i]!),
    };
  } finally {
    device?.restore();
  }
}

describe('on an engine whose memory is that of a device', () => {
  test.each(Object.entries(cases))(
    '%s: learns what it learns in host memory',
    async (_, each) => {
      const [onHost, onDevice] = [await learn(each, false), await learn(each, true)];
      expect(onDevice.losses).toHaveLength(4);
      onDevice.losses.forEach((loss, i) => expect(loss).toBeCloseTo(onHost.losses[i]!, 3));
      onDevice.metrics.forEach((value, i) => expect(value).toBeCloseTo(onHost.metrics[i]!, 2));
      onDevice.readings.forEach((count) => expect(count).toBeLessThanOrEqual(each.readings));
    },
    120_000,
  );
});
