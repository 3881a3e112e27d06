import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { bytes, gradientsOf, small, trained, update } from '../../test/device-state-run.js';
import { adamw } from '../rules/adamw.js';
import { deviceStateStore } from './device-state-store.js';
import { memoryStateStore } from './state-store.js';
import { restoreState, stateTensors } from './state-tensors.js';

beforeAll(() => tf.setBackend('cpu'));

describe('a checkpoint of state on a device', () => {
  test.each([0, 60_000, 10_000_000])(
    'is resumed with %i bytes there to the very bytes of a run without a break',
    async (budget) => {
      const { parameters, state } = await trained(adamw(), deviceStateStore(small(budget)));
      const copy = parameters.map((parameter) => ({
        ...parameter,
        variable: tf.tidy(() => tf.variable(parameter.variable.clone())),
      }));
      const resumed = adamw().init(copy, { store: deviceStateStore(small(budget)) });
      await resumed.store.prefetch();
      await restoreState(resumed, await stateTensors(state));
      for (const [own, of] of [
        [parameters, state],
        [copy, resumed],
      ] as const)
        for (let t = 5; t < 8; t += 1) await update(adamw(), own, gradientsOf(own, t), of);
      expect(await bytes(copy, resumed)).toEqual(await bytes(parameters, state));
    },
  );

  test('has the tensors of one of state on the host, which it can become', async () => {
    const { parameters, state } = await trained(adamw(), deviceStateStore(small(60_000)));
    const host = adamw().init(parameters, { store: memoryStateStore() });
    await restoreState(host, await stateTensors(state));
    expect(await bytes(parameters, host)).toEqual(await bytes(parameters, state));
  });

  test('can be read in parts', async () => {
    const { state } = await trained(adamw(), deviceStateStore(small(60_000)));
    for (const tensor of await stateTensors(state)) {
      const cuts = [0, 1, 5, 777, 3000, tensor.byteLength].filter(
        (cut) => cut <= tensor.byteLength,
      );
      expect(cuts.slice(1).flatMap((cut, i) => [...tensor.read(cuts[i], cut - cuts[i]!)])).toEqual([
        ...tensor.read().subarray(0, cuts.at(-1)),
      ]);
    }
  });
});
