import { uncheckedHyperparameters } from '../settings/hyperparameter-input.js';
import type { PresetName } from '../settings/presets.js';
import { getMetric } from '@peft/data';
import { describe, expect, it } from 'vitest';
import { resolveHyperparameters } from '../settings/hyperparameters.js';
import {
  optimizerOf,
  requireStatePlace,
  runSizes,
  scheduledSteps,
  scheduleOf,
  stateStoreOf,
  trainOptionsOf,
} from './run-plan.js';

const settings = (input: object, preset?: PresetName) =>
  resolveHyperparameters(uncheckedHyperparameters(input), preset);

describe('the plan of a run', () => {
  it("has the tutorial's steps: 800 rows in micro-batches of 4, 8 of them a step, 2 epochs make T = 50", () => {
    const tutorial = settings(
      {
        'env.batch_size': 32,
        'optim.max_epochs': 2,
        'optim.warmup_steps': 0,
        'optim.lr': 3e-3,
        'optim.end_lr': 3e-3,
      },
      'multilingual',
    );
    expect(runSizes(tutorial)).toEqual({
      batchSize: 32,
      microBatchSize: 4,
      evaluationBatchSize: 16,
    });
    expect(scheduledSteps(800, tutorial)).toBe(50);
    const schedule = scheduleOf(800, tutorial);
    expect([schedule(0), schedule(25)]).toEqual([3e-3, 1.5e-3]); // end_lr has no effect on the cosine
    expect(schedule(50)).toBeCloseTo(0, 15);
  });

  it('rounds T down over the whole run, and warms up for a tenth of it', () => {
    const plan = settings({ 'env.batch_size': 32, 'optim.max_epochs': 3, 'optim.lr': 1 });
    expect(scheduledSteps(701, plan)).toBe(66); // ⌊88·3/4⌋
    const schedule = scheduleOf(701, plan); // W = 6
    expect(schedule(0)).toBe(0);
    expect(schedule(3)).toBe(0.5);
    expect(schedule(6)).toBe(1);
  });

  it('makes batches of whole micro-batches', () => {
    expect(runSizes(settings({ 'env.batch_size': 30, 'env.per_gpu_batch_size': 8 }))).toMatchObject(
      { batchSize: 24, microBatchSize: 8 },
    );
    expect(runSizes(settings({ 'env.batch_size': 4, 'env.per_gpu_batch_size': 8 }))).toMatchObject({
      batchSize: 4,
      microBatchSize: 4,
    });
  });

  it('ends the other schedules where they say', () => {
    const at = (name: string, step: number) =>
      scheduleOf(
        100,
        settings({
          'optim.lr_schedule': name,
          'optim.lr': 1,
          'optim.end_lr': 0.25,
          'optim.warmup_steps': 0,
          'env.batch_size': 10,
          'env.per_gpu_batch_size': 10,
          'optim.max_epochs': 10,
        }),
      )(step);
    expect(at('polynomial_decay', 100)).toBe(0.25);
    expect(at('linear_decay', 50)).toBe(0.5);
    expect(at('multi_step', 54)).toBeCloseTo(0.1, 15);
    expect(at('constant', 99)).toBe(1);
  });

  it('watches the metric in its own direction, with patience, until it is as good as it gets', () => {
    const { validation, epochs, maxSteps, select, topK } = trainOptionsOf(
      settings({ 'optim.max_steps': 7 }),
      getMetric('roc_auc'),
    );
    expect({ epochs, maxSteps, select, topK }).toEqual({
      epochs: 20,
      maxSteps: 7,
      select: 'greedy-soup',
      topK: 3,
    });
    expect(validation).toEqual({
      metric: 'roc_auc',
      direction: 'max',
      patience: 10,
      stoppingThreshold: 0.9999999,
      everyEpochs: 0.5,
    });
    expect(trainOptionsOf(settings({}), getMetric('log_loss')).validation).toMatchObject({
      direction: 'min',
      stoppingThreshold: 1e-7,
    });
  });

  it('reads an interval above 1 as micro-batches', () => {
    expect(
      trainOptionsOf(
        settings({
          'optim.val_check_interval': 40,
          'env.batch_size': 32,
          'env.per_gpu_batch_size': 4,
        }),
        getMetric('accuracy'),
      ).validation,
    ).toMatchObject({ everySteps: 5 });
  });

  it('keeps optimiser state where it is told: in memory, in a page file, on the device', () => {
    const store = (input: object) => stateStoreOf(settings(input)).stateStore;
    expect(store({})).toBeUndefined();
    expect(store({ 'optim.resident_state_mb': 5 })).toMatchObject({ residentBytes: 0 });
    expect(store({ 'optim.resident_state_mb': 5 })).not.toHaveProperty('pages');
    for (const megabytes of [null, 0, 0.5])
      expect(
        store({ 'optim.state_device': 'device', 'optim.resident_state_mb': megabytes }),
      ).toHaveProperty('pages');
    expect(() => settings({ 'optim.state_device': 'gpu' })).toThrow(
      /optim.state_device must be one of host, device, got "gpu"/,
    );
  });

  it('refuses the device for an optimiser that computes on the host alone', () => {
    for (const name of ['adamw', 'adam', 'sgd', 'lion'])
      expect(() =>
        requireStatePlace(settings({ 'optim.state_device': 'device', 'optim.optim_type': name })),
      ).not.toThrow();
    for (const name of ['adamw_8bit', 'lion_8bit', 'adafactor'])
      expect(() =>
        requireStatePlace(settings({ 'optim.state_device': 'device', 'optim.optim_type': name })),
      ).toThrow(expect.objectContaining({ code: 'PEFT_OPTIM_DEVICE_UNSUPPORTED' }));
    expect(() => requireStatePlace(settings({ 'optim.optim_type': 'adamw_8bit' }))).not.toThrow();
  });

  it('makes every optimiser', () => {
    expect(
      (['adamw', 'adam', 'sgd', 'adafactor'] as const).map((name) => optimizerOf(name).name),
    ).toEqual(['adamw', 'adam', 'sgd', 'adafactor']);
  });
});
