import * as tf from '@tensorflow/tfjs';
import { constantSchedule } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import { train, classification, type ClassificationBatch, type Task } from '../src/index.js';
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
