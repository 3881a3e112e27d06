import { compose, override, type TrainEvent } from '@peft/core';
import { describe, expect, it } from 'vitest';
import {
  CHECKPOINT_STORE,
  CLOCK,
  ENGINE,
  EVENT_BUS,
  memoryCheckpointStore,
  RANDOM_SEED,
  TRAINER,
  trainerModule,
} from '../src/index.js';
import { tinyEngine, tinyModel, tinyRun } from './tiny-run.js';

describe('the trainer as a module', () => {
  it('trains with the bus, the clock, the store and the seed of the application, each replaceable', async () => {
    const engine = await tinyEngine();
    const store = memoryCheckpointStore();
    const app = compose(
      trainerModule({ engine: () => engine, seed: 5 }),
      override((bind) => bind(CLOCK, () => ({ now: () => 1234 }))),
      override((bind) => bind(CHECKPOINT_STORE, () => store)),
    );
    const events: TrainEvent[] = [];
    app.get(EVENT_BUS).listen((event) => events.push(event));
    const model = await tinyModel();
    const { bus: _bus, ...request } = tinyRun(model, { options: { maxSteps: 2 } }).request;
    const result = await app.get(TRAINER)(request);
    expect(result).toMatchObject({ reason: 'completed', step: 2, durationMs: 0 });
    expect(events.map(({ type }) => type)).toEqual([
      'run/started',
      'step/completed',
      'step/completed',
      'checkpoint/saved',
      'run/ended',
    ]);
    expect(events.every(({ atMs }) => atMs === 1234)).toBe(true);
    expect(await store.steps()).toEqual([2]);
    expect((await store.open(2)).state.seed).toBe(5);
    expect([app.get(RANDOM_SEED), app.get(ENGINE)]).toEqual([5, engine]);
    model.dispose();
  });
});
