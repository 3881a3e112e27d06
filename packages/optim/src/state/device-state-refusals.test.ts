import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { small, start } from '../../test/device-state-run.js';
import { adafactor } from '../rules/adafactor.js';
import { adamw } from '../rules/adamw.js';
import { OPTIMIZER_NAMES, createOptimizer } from '../rules/create-optimizer.js';
import { defineOptimizer } from '../rules/define-optimizer.js';
import { deviceStateStore } from './device-state-store.js';

beforeAll(() => tf.setBackend('cpu'));

describe('what computes on the host alone is refused, and nothing is made', () => {
  test.each(
    [...OPTIMIZER_NAMES.map((name) => createOptimizer(name)), adafactor({ beta1: 0.9 })]
      .filter(({ runsOnDevice }) => !runsOnDevice)
      .map((optimizer) => [optimizer.name, optimizer] as const),
  )('%s', (name, optimizer) => {
    const tensors = tf.memory().numTensors;
    const parameters = start();
    const init = (): unknown => optimizer.init(parameters, { store: deviceStateStore() });
    expect(init).toThrow(
      expect.objectContaining({
        code: 'PEFT_OPTIM_DEVICE_UNSUPPORTED',
        message: [
          `${name}: the state cannot lie on the device: this optimiser computes on the host alone.`,
          '  hint: Keep the state on the host (memoryStateStore, pagedStateStore; ' +
            'optim.state_device=host), or take adamw, adam, sgd or lion.',
        ].join('\n'),
      }),
    );
    tf.dispose(parameters.map(({ variable }) => variable));
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test('a rule whose state is not one float32 for each element', () => {
    const odd = defineOptimizer({
      name: 'odd',
      slots: () => [{ name: 'mean', dtype: 'F32', shape: [1], span: 'whole' }],
      updateParameter: () => {},
      tensors: { coefficients: () => ({}), update: (values) => ({ values, slots: [] }) },
    });
    expect(() => odd.init(start(), { store: deviceStateStore() }))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: the state cannot lie on the device: the state of "p0" is not 1 float32 for each element.
        hint: Keep the state on the host (memoryStateStore, pagedStateStore; optim.state_device=host), or take adamw, adam, sgd or lion.]
    `);
  });

  test('state for which the device has no room', () => {
    const parameters = start();
    const tensors = tf.memory().numTensors;
    const fill = tf.getKernel('Fill', 'cpu');
    let calls = 0;
    const kernelFunc: typeof fill.kernelFunc = (call) => {
      if ((calls += 1) > 3) throw new RangeError('no room');
      return fill.kernelFunc(call);
    };
    tf.unregisterKernel('Fill', 'cpu');
    tf.registerKernel({ ...fill, kernelFunc });
    try {
      expect(() => adamw().init(parameters, { store: deviceStateStore(small()) })).toThrow(
        'no room',
      );
      expect(tf.memory().numTensors).toBe(tensors);
    } finally {
      tf.unregisterKernel('Fill', 'cpu');
      tf.registerKernel(fill);
    }
  });

  test('a second state in one store, two parameters of one name, a budget that is no number', () => {
    const store = deviceStateStore();
    const [p] = start();
    expect(() => adamw().init([p!, p!], { store })).toThrow(/two parameters are named "p0"/);
    adamw().init([p!], { store });
    expect(() => adamw().init([p!], { store })).toThrow(/belongs to another optimiser state/);
    expect(() => deviceStateStore({ residentBytes: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: optim: residentBytes must be an integer of at least 0, got -1.]`,
    );
  });
});
