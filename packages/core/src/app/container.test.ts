import { expect, test } from 'vitest';
import { compose, type Module, override, token } from './container.js';
import { createTrainEventBus, ofType, type TrainEventBus } from './events.js';

const EVENTS = token<TrainEventBus>('peft:TrainEventBus');
const TRAINER = token<{ run(): void }>('peft:Trainer');
const eventsModule: Module = (bind) => bind(EVENTS, () => createTrainEventBus());
const trainerModule: Module = (bind) =>
  bind(TRAINER, ({ get }) => {
    const bus = get(EVENTS);
    return {
      run: () => bus.emit({ type: 'checkpoint/saved', runId: 'r', atMs: 0, step: 3, path: 'x' }),
    };
  });

test('modules compose, share one bus and complete it when disposed', () => {
  const app = compose(eventsModule, trainerModule);
  const seen: number[] = [];
  let isComplete = false;
  app
    .get(EVENTS)
    .events$.pipe(ofType('checkpoint/saved'))
    .subscribe({ next: (event) => seen.push(event.step), complete: () => (isComplete = true) });
  app.get(TRAINER).run();
  app.dispose();
  expect(seen).toEqual([3]);
  expect(isComplete).toBe(true);
});

test('an unbound token names who needed it', () => {
  expect(() => compose(trainerModule).get(TRAINER)).toThrowErrorMatchingInlineSnapshot(`
    [PeftError: Nothing is bound to peft:TrainEventBus (needed by peft:Trainer).
      hint: pass the module that provides it to compose(...)]
  `);
});

test('binding twice is an error unless the second overrides', () => {
  expect(() => compose(eventsModule, eventsModule)).toThrow(/bound twice/);
  const silent = createTrainEventBus();
  expect(
    compose(
      eventsModule,
      override((bind) => bind(EVENTS, () => silent)),
    ).get(EVENTS),
  ).toBe(silent);
});

test('a cycle is named', () => {
  const A = token<object>('peft:A');
  const B = token<object>('peft:B');
  const loop: Module = (bind) => {
    bind(A, ({ get }) => get(B));
    bind(B, ({ get }) => get(A));
  };
  expect(() => compose(loop).get(A)).toThrow('Cycle: peft:A > peft:B > peft:A.');
});

test('what was made is disposed once each, in reverse order', () => {
  const order: string[] = [];
  const LOW = token<{ dispose(): void }>('peft:Low');
  const HIGH = token<{ dispose(): void }>('peft:High');
  const app = compose((bind) => {
    bind(LOW, () => ({ dispose: () => order.push('low') }));
    bind(HIGH, ({ get }) => {
      get(LOW);
      return { dispose: () => order.push('high') };
    });
  });
  app.get(HIGH);
  app.get(HIGH);
  app.get(LOW);
  app.dispose();
  app.dispose();
  expect(order).toEqual(['high', 'low']);
});

test('a failing sink is reported, and the run and the other sinks go on', () => {
  const errors: unknown[] = [];
  const seen: string[] = [];
  const bus = createTrainEventBus((error) => errors.push(error));
  bus.listen(() => {
    throw new Error('disk full');
  });
  bus.listen((event) => seen.push(event.type));
  bus.emit({ type: 'run/warned', runId: 'r', atMs: 0, code: 'X', message: 'm' });
  expect(errors).toHaveLength(1);
  expect(seen).toEqual(['run/warned']);
});

test('a sink that rejects is reported, and no rejection is left unhandled', async () => {
  const errors: unknown[] = [];
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  const bus = createTrainEventBus((error) => errors.push(error));
  bus.listen(() => Promise.reject(new Error('no connection')));
  bus.listen(async () => {
    await Promise.resolve();
    throw new Error('disk full');
  });
  bus.emit({ type: 'run/warned', runId: 'r', atMs: 0, code: 'X', message: 'm' });
  await new Promise((resolve) => setTimeout(resolve, 10));
  process.off('unhandledRejection', onUnhandled);
  expect(errors).toMatchObject([{ message: 'no connection' }, { message: 'disk full' }]);
  expect(unhandled).toEqual([]);
});

// @ts-expect-error a token's type is checked
export const wrong = (): number => compose(eventsModule).get(EVENTS);
