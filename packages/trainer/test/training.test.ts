import * as tf from '@tensorflow/tfjs';
import type { TrainEventOf } from '@peft/core';
import { constantSchedule, sgd } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import {
  predict,
  train,
  classification,
  type ClassificationBatch,
  type Task,
} from '../src/index.js';
import {
  accuracyOf,
  adapterBytes,
  TINY_CONFIGS,
  tinyData,
  tinyModel,
  tinyOrder,
  tinyRun,
  tinyValidation,
} from './tiny-run.js';

const steps = (events: readonly { type: string }[]) =>
  events.filter(
    (event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed',
  );

describe.each(Object.keys(TINY_CONFIGS))('training a tiny %s', (family) => {
  it('learns to tell the texts apart, says so in events, and leaves no tensor behind', async () => {
    const before = tf.memory().numTensors;
    const model = await tinyModel(family);
    const data = tinyData();
    // the engine unpacks weights when they are first used
    await predict(model, classification({ classes: 2 }), data);
    const loaded = tf.memory().numTensors;
    const { request, events } = tinyRun(model, {
      schedule: constantSchedule({ learningRate: 0.03 }),
      options: { epochs: 20, dropout: false },
      order: tinyOrder(data, { maxTokensPerMicroBatch: 40 }),
    });
    const result = await train(request);
    expect(result).toMatchObject({ reason: 'completed', step: 120 });
    expect(tf.memory().numTensors).toBe(loaded);
    const { predictions } = await predict(model, classification({ classes: 2 }), data);
    expect(accuracyOf(data.labels)(predictions).accuracy).toBeGreaterThanOrEqual(0.85); // 24 examples; chance is 0.5
    expect(events[0]).toMatchObject({
      type: 'run/started',
      modelType: TINY_CONFIGS[family]!['model_type'],
      method: 'ia3_lora_bias',
      plannedSteps: 120,
      plannedEpochs: 20,
      ...prefixed(model.parameterCounts()),
    });
    expect(steps(events).map(({ step }) => step)).toEqual(
      Array.from({ length: 120 }, (_, i) => i + 1),
    );
    expect(
      steps(events)
        .slice(0, 6)
        .reduce((sum, { tokens }) => sum + tokens, 0),
    ).toBe(Array.from(data.lengths).reduce((a, b) => a + b));
    expect(events.at(-1)).toMatchObject({ type: 'run/ended', reason: 'completed', step: 120 });
    expect(JSON.parse(JSON.stringify(events))).toEqual(events);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

const prefixed = ({ trainable, total }: { trainable: number; total: number }) => ({
  trainableParameters: trainable,
  totalParameters: total,
});

describe('a split of a batch', () => {
  it('changes no loss, no gradient norm and no order of examples changes them', async () => {
    const runs: { loss: number; gradientNorm: number }[][] = [];
    const splits = [
      { microBatchSize: 4 },
      { microBatchSize: 3 },
      { microBatchSize: 1 },
      { maxTokensPerMicroBatch: 11 },
    ];
    for (const [i, limits] of splits.entries()) {
      const model = await tinyModel('deberta-v2');
      const order = tinyOrder(tinyData(), { maxTokensPerMicroBatch: undefined, ...limits });
      const turned = {
        ...order,
        batches: (epoch: number) =>
          order
            .batches(epoch)
            .map((batch) =>
              i % 2 ? batch.map((rows) => rows.slice().reverse()).reverse() : batch,
            ),
      };
      const { request, events } = tinyRun(model, {
        order: turned,
        schedule: constantSchedule({ learningRate: 0.005 }),
        options: { dropout: false },
      });
      await train(request);
      runs.push(steps(events));
      model.dispose();
    }
    for (const run of runs.slice(1)) {
      for (const [i, { loss, gradientNorm }] of run.entries()) {
        expect(Math.abs(loss - runs[0]![i]!.loss), `loss of step ${i + 1}`).toBeLessThan(1e-5);
        expect(
          Math.abs(gradientNorm - runs[0]![i]!.gradientNorm),
          `gradient norm of step ${i + 1}`,
        ).toBeLessThan(1e-4);
      }
    }
  });

  it('weighs by count where parts differ in size: one SGD step equals that of the whole batch', async () => {
    const after: Record<string, string>[] = [];
    const values: Float32Array[] = [];
    for (const microBatchSize of [24, 5]) {
      const model = await tinyModel('bert');
      const { request } = tinyRun(model, {
        optimizer: sgd(),
        schedule: constantSchedule({ learningRate: 1 }),
        order: tinyOrder(tinyData(), {
          batchSize: 24,
          maxTokensPerMicroBatch: undefined,
          microBatchSize,
        }),
        options: { maxSteps: 1, maxGradientNorm: null, dropout: false },
      });
      await train(request);
      after.push(adapterBytes(model));
      values.push(
        Float32Array.from(
          [...model.adapter('default').parameters.values()].flatMap(({ value }) =>
            Array.from(value.dataSync()),
          ),
        ),
      );
      model.dispose();
    }
    values[0]!.forEach((value, i) =>
      expect(Math.abs(value - values[1]![i]!)).toBeLessThan(2e-6 * Math.max(1, Math.abs(value))),
    );
  });
});

describe('evaluation', () => {
  it.each(Object.keys(TINY_CONFIGS))(
    'of %s gives the same in packed batches and one by one, in the order of the data',
    async (family) => {
      const model = await tinyModel(family);
      const data = tinyData();
      const task = classification({ classes: 2 });
      const packed = await predict(model, task, data, { maxTokensPerBatch: 60, withLoss: true });
      const single = await predict(model, task, data, { batchSize: 1, withLoss: true });
      expect(Math.abs(packed.loss! - single.loss!)).toBeLessThan(1e-5);
      for (const [i, probabilities] of packed.predictions.entries()) {
        expect(Math.abs(probabilities[1]! - single.predictions[i]![1]!)).toBeLessThan(1e-5);
        expect(probabilities[0]! + probabilities[1]!).toBeCloseTo(1, 12);
      }
      expect(
        new Set(single.predictions.map((probabilities) => probabilities[1])).size,
      ).toBeGreaterThan(20);
      model.dispose();
    },
  );
});

describe('gradient checkpointing', () => {
  it('gives the very same parameters for all blocks, one block or none', async () => {
    const results: Record<string, string>[] = [];
    for (const gradientCheckpointing of [false, true, new Set([1])]) {
      const model = await tinyModel('deberta-v2');
      await train(tinyRun(model, { options: { maxSteps: 3, gradientCheckpointing } }).request);
      results.push(adapterBytes(model));
      model.dispose();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});

describe('validation', () => {
  it('checks twice an epoch, keeps the best checkpoints and ends with a soup of them', async () => {
    const before = tf.memory().numTensors;
    const model = await tinyModel();
    const { evaluate, validation } = tinyValidation(model);
    const { request, events } = tinyRun(model, {
      evaluate,
      options: { validation, topK: 2, epochs: 3 },
      schedule: constantSchedule({ learningRate: 0.02 }),
    });
    const result = await train(request);
    const checks = events.filter((event) => event.type === 'evaluation/completed');
    expect(checks.map(({ step }) => step)).toEqual([3, 6, 9, 12, 15, 18]);
    expect(checks.map(({ isBest }) => isBest)).toEqual(
      checks.map(({ metrics }, i) =>
        checks.slice(0, i).every((other) => other.metrics['accuracy']! < metrics['accuracy']!),
      ),
    );
    const best = Math.max(...checks.map(({ metrics }) => metrics['accuracy']!));
    expect(result.best!.score).toBe(best);
    expect(result.selected.score).toBeGreaterThanOrEqual(best);
    const { metrics } = await evaluate(undefined);
    expect(metrics['accuracy']).toBe(result.selected.score); // the model has what was selected
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('ends with the best weights when asked to', async () => {
    const model = await tinyModel();
    const scores = [0.3, 0.9, 0.5, 0.4];
    const seen: Record<string, string>[] = [];
    const evaluate = () => {
      seen.push(adapterBytes(model));
      return Promise.resolve({ metrics: { made_up: scores[seen.length - 1]! }, examples: 1 });
    };
    const result = await train(
      tinyRun(model, {
        evaluate,
        options: {
          select: 'best',
          validation: { metric: 'made_up', direction: 'max', everyEpochs: 0.5 },
        },
      }).request,
    );
    expect(result).toMatchObject({
      best: { step: 6, score: 0.9 },
      selected: { steps: [6], score: 0.9 },
    });
    expect(adapterBytes(model)).toEqual(seen[1]);
    model.dispose();
  });

  it('stops early by patience, counted in checks', async () => {
    const model = await tinyModel();
    const scores = [0.5, 0.6, 0.6, 0.6, 0.9];
    let checks = 0;
    const evaluate = () =>
      Promise.resolve({ metrics: { made_up: scores[(checks += 1) - 1]! }, examples: 1 });
    const { request, events } = tinyRun(model, {
      evaluate,
      options: {
        epochs: 9,
        select: 'last',
        validation: { metric: 'made_up', direction: 'max', everySteps: 2, patience: 2 },
      },
    });
    expect(await train(request)).toMatchObject({ reason: 'stopped-early', step: 8 });
    expect(events.at(-1)).toMatchObject({ type: 'run/ended', reason: 'stopped-early' });
    model.dispose();
  });

  it('says when the watched metric is not there', async () => {
    const model = await tinyModel();
    const evaluate = () => Promise.resolve({ metrics: { accuracy: 1 }, examples: 1 });
    await expect(
      train(
        tinyRun(model, {
          evaluate,
          options: { validation: { metric: 'roc_auc', direction: 'max' } },
        }).request,
      ),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: trainer: the validation watches "roc_auc", evaluate gave accuracy.
        hint: name one of them in options.validation.metric]
    `);
    model.dispose();
  });
});

describe('a NaN', () => {
  /** A task whose loss is NaN in chosen runs of the model. */
  const breaking = (isBroken: (call: number) => boolean): Task<ClassificationBatch> => {
    const task = classification({ classes: 2 });
    let call = 0;
    return {
      ...task,
      loss: (output, batch) =>
        isBroken((call += 1))
          ? tf.mul(task.loss(output, batch), Number.NaN)
          : task.loss(output, batch),
    };
  };

  it('leaves the step out: parameters and optimiser stay as they were', async () => {
    const finalBytes: Record<string, string>[] = [];
    for (const task of [breaking(() => false), breaking((call) => call === 3)]) {
      const model = await tinyModel();
      const order = tinyOrder(tinyData(), { maxTokensPerMicroBatch: undefined });
      const isClean = finalBytes.length === 0;
      // The clean run does not get the batch that is broken in the other one; both have the same
      // rate throughout.
      const { request, events } = tinyRun(model, {
        task,
        schedule: constantSchedule({ learningRate: 0.01 }),
        order: isClean
          ? { ...order, batches: (epoch) => order.batches(epoch).filter((_, i) => i !== 2) }
          : order,
        options: { epochs: 1, dropout: false },
      });
      await train(request);
      if (!isClean)
        expect(events.filter(({ type }) => type === 'run/warned')).toMatchObject([
          { code: 'PEFT_TRAIN_NOT_FINITE', message: 'step 3 was left out: the loss is NaN.' },
        ]);
      finalBytes.push(adapterBytes(model));
      model.dispose();
    }
    expect(finalBytes[1]).toEqual(finalBytes[0]);
  });

  it('ends the run after too many in a row, with a named error and the parameters from before', async () => {
    const before = tf.memory().numTensors;
    const model = await tinyModel();
    const start = adapterBytes(model);
    const { request, events } = tinyRun(model, {
      task: breaking(() => true),
      options: { nonFinite: { maxConsecutive: 4 } },
    });
    await expect(train(request)).rejects.toMatchObject({ code: 'PEFT_TRAIN_NOT_FINITE' });
    expect(adapterBytes(model)).toEqual(start);
    expect(events.at(-1)).toMatchObject({
      type: 'run/ended',
      reason: 'failed',
      step: 3,
      error: { code: 'PEFT_TRAIN_NOT_FINITE' },
    });
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('a run', () => {
  it('lets timers fire between micro-batches', async () => {
    const model = await tinyModel();
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const { request } = tinyRun(model, {
      order: tinyOrder(tinyData(), { microBatchSize: 1 }),
      options: { epochs: 1 },
    });
    await train(request);
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(24); // 24 examples, one a micro-batch
    model.dispose();
  });

  it('ends at its time limit, by the clock it was given', async () => {
    const model = await tinyModel();
    let now = 1000;
    const { request, events } = tinyRun(model, {
      clock: { now: () => (now += 10) },
      options: { epochs: 100, timeLimitMs: 100 },
    });
    const result = await train(request);
    expect(result.reason).toBe('stopped-early');
    expect(result.step).toBeLessThan(12);
    expect(events.find(({ type }) => type === 'run/warned')).toMatchObject({
      code: 'PEFT_TRAIN_TIME_LIMIT',
    });
    model.dispose();
  });

  it('refuses a model without anything to train, data without rows, and options that make no sense', async () => {
    const model = await tinyModel();
    await expect(train(tinyRun(model, { options: { epochs: 0 } }).request)).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
    await expect(
      train(tinyRun(model, { options: { select: 'best' } }).request),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    await expect(
      train(tinyRun(model, { options: { maxEpochs: 2 } as never }).request),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_UNKNOWN_KEY' });
    await expect(
      train(
        tinyRun(model, {
          order: tinyOrder({ lengths: [] }),
          data: {
            lengths: [],
            pack: () => {
              throw new Error('unused');
            },
          },
        }).request,
      ),
    ).rejects.toMatchObject({ code: 'PEFT_TRAIN_NO_DATA' });
    model.setActiveAdapters();
    await expect(train(tinyRun(model).request)).rejects.toMatchObject({
      code: 'PEFT_TRAIN_NOTHING_TRAINABLE',
    });
    model.dispose();
  });

  it('says so when the loss depends on nothing that trains', async () => {
    const before = tf.memory().numTensors;
    const model = await tinyModel();
    const task = { ...classification({ classes: 2 }), loss: () => tf.scalar(1) };
    await expect(train(tinyRun(model, { task }).request)).rejects.toMatchObject({
      code: 'PEFT_TRAIN_NO_GRADIENT',
    });
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('shows hooks the gradients as they were clipped', async () => {
    for (const maxGradientNorm of [null, 0.01]) {
      const model = await tinyModel();
      const adapter = model.adapter('default');
      const norms: number[] = [];
      adapter.stepHooks.push(({ gradient }) =>
        norms.push(
          Math.hypot(
            ...[...adapter.parameters.values()].flatMap((parameter) => [
              ...(gradient(parameter)?.dataSync() ?? []),
            ]),
          ),
        ),
      );
      const { request, events } = tinyRun(model, { options: { maxSteps: 2, maxGradientNorm } });
      await train(request);
      // What events tell is the norm before clipping.
      steps(events).forEach(({ gradientNorm }, i) =>
        expect(norms[i]).toBeCloseTo(maxGradientNorm ?? gradientNorm, 5),
      );
      expect(steps(events).every(({ gradientNorm }) => gradientNorm > 0.02)).toBe(true);
      model.dispose();
    }
  });

  it('adds the extra losses of adapters once a step and calls their hooks with the gradient', async () => {
    const losses: number[][] = [];
    for (const limits of [{ microBatchSize: 4 }, { microBatchSize: 1 }]) {
      const model = await tinyModel();
      const adapter = model.adapter('default');
      const parameter = [...adapter.parameters.values()].find(
        ({ name }) => name === 'head.weight',
      )!;
      adapter.extraLosses.push(() => tf.mul(tf.sum(tf.square(parameter.value)), 0.1));
      const seen: [number, number][] = [];
      adapter.stepHooks.push(({ step, gradient }) => seen.push([step, gradient(parameter)!.size]));
      const { request, events } = tinyRun(model, {
        optimizer: sgd(),
        schedule: constantSchedule({ learningRate: 1e-9 }),
        order: tinyOrder(tinyData(), { maxTokensPerMicroBatch: undefined, ...limits }),
        options: { maxSteps: 2, dropout: false },
      });
      const penalty =
        0.1 * Array.from(parameter.value.dataSync()).reduce((sum, value) => sum + value * value, 0);
      const plain = await predict(
        model,
        classification({ classes: 2 }),
        {
          ...tinyData(),
          lengths: Array.from(tinyData().lengths).slice(0, 4),
          pack: (rows) =>
            tinyData().pack(
              rows.map((i) => request.order.batches(0)[0]!.flatMap((part) => [...part])[i]!),
            ),
        },
        { withLoss: true },
      );
      await train(request);
      losses.push(steps(events).map(({ loss }) => loss));
      expect(losses.at(-1)![0]).toBeCloseTo(plain.loss! + penalty, 5);
      expect(seen).toEqual([
        [1, 32],
        [2, 32],
      ]);
      model.dispose();
    }
    expect(losses[1]![0]).toBeCloseTo(losses[0]![0]!, 5);
  });
});
