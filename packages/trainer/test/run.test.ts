import * as tf from '@tensorflow/tfjs';
import { constantSchedule, sgd } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import { predict, train, classification } from '../src/index.js';
import { steps } from './completed-steps.js';
import { tinyData, tinyModel, tinyOrder, tinyRun } from './tiny-run.js';

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

  it('refuses a model without trainables, data without rows, options that make no sense', async () => {
    const model = await tinyModel();
    await expect(train(tinyRun(model, { options: { epochs: 0 } }).request)).rejects.toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
    });
    await expect(
      train(tinyRun(model, { options: { select: 'best' } }).request),
    ).rejects.toMatchObject({ code: 'PEFT_CONFIG_INVALID' });
    const misspelt = { epochs: 2, maxEpochs: 2 };
    await expect(train(tinyRun(model, { options: misspelt }).request)).rejects.toMatchObject({
      code: 'PEFT_CONFIG_UNKNOWN_KEY',
    });
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
      adapter.stepHooks.push(({ gradient }) => {
        norms.push(
          Math.hypot(
            ...[...adapter.parameters.values()].flatMap((parameter) => [
              ...(gradient(parameter)?.dataSync() ?? []),
            ]),
          ),
        );
      });
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
      adapter.stepHooks.push(({ step, gradient }) => {
        seen.push([step, gradient(parameter)!.size]);
      });
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
