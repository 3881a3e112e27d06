import * as tf from '@tensorflow/tfjs';
import { constantSchedule, sgd } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import { predict, train, classification } from '../src/index.js';
import { steps } from './completed-steps.js';
import {
  accuracyOf,
  adapterBytes,
  TINY_CONFIGS,
  tinyData,
  tinyModel,
  tinyOrder,
  tinyRun,
} from './tiny-run.js';

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
