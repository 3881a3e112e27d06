import * as tf from '@tensorflow/tfjs';
import { getMetric } from '@peft/data';
import { constantSchedule } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import {
  classification,
  classificationScore,
  createEvaluator,
  memoryCheckpointStore,
  train,
  type ClassificationBatch,
  type Task,
} from '../src/index.js';
import { adapterBytes, tinyData, tinyModel, tinyOrder, tinyRun } from './tiny-run.js';

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
    await expect(train(request)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: trainer: the run has diverged: the loss is NaN at step 4, the last of 4 such steps in a row.
        hint: no checkpoint had been saved yet; train again with a lower learning rate (it was 0.008535533905932738 here; a tenth of it is worth a try), a longer warm-up or a smaller gradient norm, and look for extreme inputs]
    `);
    expect(adapterBytes(model)).toEqual(start);
    expect(events.at(-1)).toMatchObject({
      type: 'run/ended',
      reason: 'diverged',
      step: 3,
      error: { code: 'PEFT_TRAIN_DIVERGED' },
    });
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('a run that diverges', () => {
  const tooFast = constantSchedule({ learningRate: 1e20 });

  it('ends as diverged, not as the input of a metric, and names its last checkpoint', async () => {
    const model = await tinyModel();
    const data = tinyData(16, 11);
    const { request, events } = tinyRun(model, {
      store: memoryCheckpointStore(),
      schedule: (step) => (step < 3 ? 0.01 : 1e20),
      evaluate: createEvaluator({
        model,
        task: classification({ classes: 2 }),
        data,
        score: classificationScore({
          metrics: [getMetric('accuracy')],
          labels: data.labels,
          classes: 2,
        }),
      }),
      options: { validation: { metric: 'accuracy', direction: 'max', everySteps: 3 } },
    });
    const error = await train(request).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'PEFT_TRAIN_DIVERGED' });
    expect((error as Error).message).toMatch(
      /hint: the checkpoint of step 3 has the last good weights; train again with a lower learning/,
    );
    expect(events.at(-1)).toMatchObject({
      type: 'run/ended',
      reason: 'diverged',
      step: 6,
      error: { code: 'PEFT_TRAIN_DIVERGED' },
    });
    model.dispose();
  });

  it('ends so without validation, too, also when the last step was the one', async () => {
    for (const maxSteps of [1, 4]) {
      const model = await tinyModel();
      const { request, events } = tinyRun(model, { schedule: tooFast, options: { maxSteps } });
      await expect(train(request)).rejects.toMatchObject({ code: 'PEFT_TRAIN_DIVERGED' });
      expect(events.at(-1)).toMatchObject({ type: 'run/ended', reason: 'diverged' });
      model.dispose();
    }
  });

  it('is not taken for one when a metric alone fails', async () => {
    const model = await tinyModel();
    const { request, events } = tinyRun(model, {
      evaluate: () => Promise.reject(new Error('the metric is wrong')),
      options: { validation: { metric: 'accuracy', direction: 'max' } },
    });
    await expect(train(request)).rejects.toThrow('the metric is wrong');
    expect(events.at(-1)).toMatchObject({ reason: 'failed' });
    model.dispose();
  });
});
