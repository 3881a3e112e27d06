import * as tf from '@tensorflow/tfjs';
import { constantSchedule } from '@peft/optim';
import { describe, expect, it } from 'vitest';
import { train } from '../src/index.js';
import { adapterBytes, tinyModel, tinyRun, tinyValidation } from './tiny-run.js';

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
