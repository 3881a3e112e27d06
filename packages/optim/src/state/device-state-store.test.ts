import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bytes,
  gradientsOf,
  groups,
  noise,
  shapes,
  small,
  start,
  trained,
  update,
} from '../../test/device-state-run.js';
import { adamw } from '../rules/adamw.js';
import { createOptimizer } from '../rules/create-optimizer.js';
import { lion } from '../rules/lion.js';
import type { OptimizerState } from '../rules/optimizer.js';
import { sgd } from '../rules/sgd.js';
import { readInScope } from '@peft/ops';
import {
  deviceStateStore,
  type DeviceStateOptions,
  type DeviceStateStore,
} from './device-state-store.js';

beforeAll(() => tf.setBackend('cpu'));

describe('state on a device', () => {
  test.each(
    [adamw(), lion(), sgd({ momentum: 0.9 }), sgd()].flatMap((optimizer) =>
      [0, 30_000, 90_000].map((budget) => [optimizer.name, budget, optimizer] as const),
    ),
  )(
    '%s with %i bytes of it there gives the same bits as with all, with or without prefetching',
    async (_name, residentBytes, optimizer) => {
      const whole = await trained(optimizer, deviceStateStore(small()));
      const parameters = start();
      const state = optimizer.init(parameters, { store: deviceStateStore(small(residentBytes)) });
      for (let t = 0; t < 5; t += 1) {
        if (t > 1) await state.store.prefetch();
        await update(
          optimizer,
          parameters,
          gradientsOf(parameters, t, t === 2 ? ['p0', 'p2'] : []),
          state,
        );
      }
      expect(await bytes(parameters, state)).toEqual(await bytes(whole.parameters, whole.state));
      expect(state.store.totalBytes).toBe(whole.state.store.totalBytes);
    },
  );

  test('takes gradients that are tensors, and a mixture, as it takes arrays', async () => {
    const results = await Promise.all(
      [() => false, () => true, (i: number) => i % 2 === 0].map(async (isTensor) => {
        const parameters = start();
        const state = adamw().init(parameters, { store: deviceStateStore(small()) });
        const gradients = Object.fromEntries(
          Object.entries(gradientsOf(parameters, 0)).map(([name, values], i) => [
            name,
            isTensor(i) ? tf.tensor(values, shapes[i]) : values,
          ]),
        );
        await update(adamw(), parameters, gradients, state);
        return bytes(parameters, state);
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  // also where it shares a page, and whatever its neighbours become
  test('leaves a parameter without a gradient, its moments and its step count alone', async () => {
    const { parameters, state } = await trained(adamw(), deviceStateStore(small(30_000)));
    const before = await bytes(parameters, state);
    const others = ['p0', 'p1', 'p3', 'p4', 'p5'];
    const gradients = {
      p6: new Float32Array(196).fill(Number.NaN),
      p2: gradientsOf(parameters, 7)['p2']!,
    };
    await update(adamw(), parameters, gradients, state);
    const after = await bytes(parameters, state);
    const of = (all: string[], i: number): string[] => [
      all[i]!,
      ...all.filter((each) => each.startsWith(`p${i}.`)),
    ];
    for (const [i] of shapes.entries())
      (others.includes(`p${i}`) ? expect(of(after, i)) : expect(of(after, i)).not).toEqual(
        of(before, i),
      );
    expect([...state.steps.values()]).toEqual([4, 5, 5, 5, 5, 5, 6]); // p0 and p2 had four
  });

  test('may be updated one parameter at a time', async () => {
    const whole = start();
    const one = start();
    const [wholeState, oneState] = [whole, one].map((parameters) =>
      adamw().init(parameters, { store: deviceStateStore(small(30_000)) }),
    );
    for (let t = 0; t < 3; t += 1) {
      await update(adamw(), whole, gradientsOf(whole, t), wholeState!);
      for (const parameter of one)
        await update(adamw(), [parameter], gradientsOf([parameter], t), oneState!);
    }
    expect(await bytes(one, oneState!)).toEqual(await bytes(whole, wholeState!));
  });

  test('gives hundreds of small tensors a few operations, not a few for each', async () => {
    const operations = async (count: number): Promise<number> => {
      const parameters = Array.from({ length: count }, (_, i) => ({
        name: `v${i}`,
        variable: tf.tidy(() => tf.variable(tf.ones([16]))),
        group: { learningRateScale: 1 + i, weightDecay: 0 },
      }));
      const state = adamw().init(parameters, { store: deviceStateStore() });
      const gradients = Object.fromEntries(
        parameters.map(({ name }) => [name, new Float32Array(16)]),
      );
      const { kernels } = await tf.profile(() =>
        adamw().update(parameters, gradients, state, { learningRate: 1 }),
      );
      return kernels.filter(({ name }) => name !== 'Slice').length; // of which tfjs's own SplitV is made
    };
    expect(await operations(200)).toBe(await operations(2));
    expect(await operations(2)).toBeLessThan(25);
  });

  test('keeps to its budget between updates, and counts what rests in host memory', async () => {
    const { totalBytes } = (await trained(adamw(), deviceStateStore(small()))).state.store;
    for (const budget of [0, 40_000, 100_000, totalBytes]) {
      const { parameters, state } = await trained(adamw(), deviceStateStore(small(budget)));
      const store = state.store as DeviceStateStore;
      expect(store.residentBytes).toBeLessThanOrEqual(budget);
      expect(store.residentBytes + store.hostBytes).toBe(totalBytes);
      await store.prefetch();
      expect(store.residentBytes).toBeLessThanOrEqual(Math.max(budget, 2 * 8192));
      expect(store.residentBytes).toBeGreaterThan(0);
      await update(adamw(), parameters, gradientsOf(parameters, 9, ['p2']), state); // p2's first pages were prefetched
      expect(store.residentBytes).toBeLessThanOrEqual(budget);
    }
  });

  test('grows by no tensor over a thousand updates, and leaves none when it is disposed', async () => {
    const before = tf.memory().numTensors;
    const all = start();
    const parameters = all.filter(({ variable }) => variable.size < 1000);
    const gradients = gradientsOf(parameters, 0, ['p4']);
    const state = adamw().init(parameters, {
      store: deviceStateStore({ residentBytes: 3072, pageBytes: 1024 }),
    });
    await update(adamw(), parameters, gradients, state);
    const during = tf.memory();
    for (let t = 1; t < 1000; t += 1) {
      await state.store.prefetch();
      await update(adamw(), parameters, gradients, state);
    }
    expect(tf.memory()).toMatchObject({
      numTensors: during.numTensors,
      numDataBuffers: during.numDataBuffers,
      numBytes: during.numBytes,
    });
    await state.store.prefetch();
    state.dispose();
    state.dispose();
    tf.dispose(all.map(({ variable }) => variable));
    expect(tf.memory().numTensors).toBe(before);
    await expect(update(adamw(), parameters, gradients, state)).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: the optimiser state was disposed and is used again.
        hint: Make a new state with optimizer.init(parameters).]
    `);
  });

  test.each([
    ['adamw', adamw(), 44],
    ['adam', createOptimizer('adam'), 48],
    ['momentum', sgd({ momentum: 0.9 }), 40],
    ['lion', lion(), 32],
  ] as const)(
    '%s takes in passing what one page takes, however many there are',
    async (_name, optimizer, bytesPerElement) => {
      const passing = async (pages: number): Promise<number> => {
        const slots = optimizer.slots([1]).length;
        const parameters = Array.from({ length: 64 * pages }, (_, i) => ({
          name: `v${i}`,
          variable: tf.tidy(() => tf.variable(tf.zeros([64]))),
          group: groups[0]!,
        }));
        const state = optimizer.init(parameters, {
          store: deviceStateStore({ residentBytes: 0, pageBytes: 4096 * 4 * slots }),
        });
        const { peakBytes } = await tf.profile(() =>
          optimizer.update(
            parameters,
            Object.fromEntries(parameters.map(({ name }) => [name, new Float32Array(64)])),
            state,
            { learningRate: 1, gradientScale: 0.5 },
          ),
        );
        const before = tf.memory().numBytes; // nothing is left over, so this is what was there
        tf.dispose(parameters.map(({ variable }) => variable));
        return peakBytes - before;
      };
      const [one, many] = [await passing(1), await passing(5)];
      expect(one).toBeLessThanOrEqual(4096 * bytesPerElement + 64);
      expect(many).toBeLessThanOrEqual(
        4096 * (bytesPerElement + 4 * optimizer.slots([1]).length) + 64,
      ); // the next page is there, too
    },
  );

  test('gives the same bits whatever the sizes, groups, pages, budget and missing gradients', async () => {
    const parameter = fc.record({
      size: fc.oneof(fc.nat(20), fc.integer({ min: 250, max: 1100 })),
      group: fc.nat(2),
      isMissingAt: fc.nat(4),
    });
    const run = async (
      specs: readonly { size: number; group: number; isMissingAt: number }[],
      options: DeviceStateOptions,
    ): Promise<number[]> => {
      const parameters = specs.map(({ size, group }, i) => ({
        name: `p${i}`,
        variable: tf.tidy(() => tf.variable(tf.tensor1d(noise(i, size)))),
        group: { learningRateScale: 1 / (1 + group), weightDecay: group / 10 },
      }));
      const state = adamw().init(parameters, { store: deviceStateStore(options) });
      for (let t = 0; t < 3; t += 1)
        await update(
          adamw(),
          parameters,
          gradientsOf(
            parameters,
            t,
            parameters.filter((_, i) => specs[i]!.isMissingAt === t).map(({ name }) => name),
          ),
          state,
        );
      const values = parameters.flatMap(({ variable }) => [...variable.dataSync()]);
      state.dispose();
      tf.dispose(parameters.map(({ variable }) => variable));
      return values;
    };
    const before = tf.memory().numTensors;
    await fc.assert(
      fc.asyncProperty(
        fc.array(parameter, { maxLength: 8 }),
        fc.integer({ min: 1, max: 9000 }),
        fc.nat(40_000),
        async (specs, pageBytes, residentBytes) => {
          expect(await run(specs, { pageBytes, residentBytes })).toEqual(await run(specs, {}));
        },
      ),
      { seed: 5, numRuns: 40 },
    );
    expect(tf.memory().numTensors).toBe(before);
  });

  test('survives a tidy around init and update', async () => {
    const parameters = start();
    const store = deviceStateStore(small(90_000));
    const state = { made: undefined as OptimizerState | undefined };
    tf.tidy(() => void (state.made = adamw().init(parameters, { store })));
    for (let t = 0; t < 5; t += 1)
      await readInScope(() =>
        update(
          adamw(),
          parameters,
          gradientsOf(parameters, t, t === 2 ? ['p0', 'p2'] : []),
          state.made!,
        ),
      );
    const whole = await trained(adamw(), deviceStateStore(small()));
    expect(await bytes(parameters, state.made!)).toEqual(
      await bytes(whole.parameters, whole.state),
    );
  });
});
