import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { deviceStateStore, pagedStateStore } from '../src/index.js';
import {
  optimizerOf,
  passes,
  readCase,
  readScheduleTables,
  runOptimCase,
  scheduleOf,
} from './optim-case.js';

const fixtures = fileURLToPath(new URL('../../testing/fixtures/optim', import.meta.url));
const cases = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());

beforeAll(() => tf.setBackend('cpu'));

describe('20 steps from the same start end where the reference library does', () => {
  test.each(cases.map(({ name }) => name))('%s', async (name) => {
    const tensors = tf.memory().numTensors;
    const results = await runOptimCase(path.join(fixtures, name));
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter((result) => !passes(result))).toEqual([]);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test.each(cases.map(({ name }) => name))(
    '%s with every page in a file, to the last bit',
    async (name) => {
      const paged = await runOptimCase(path.join(fixtures, name), () =>
        pagedStateStore({ residentBytes: 0, pageBytes: 4096 }),
      );
      expect(paged).toEqual(await runOptimCase(path.join(fixtures, name)));
    },
  );

  const onDevice = cases
    .map(({ name }) => name)
    .filter((name) => {
      const { class: className, arguments: options } = Object.values(
        readCase(path.join(fixtures, name)).optimizers,
      )[0]!;
      return optimizerOf(className, options).runsOnDevice;
    });
  test('state on a device is for AdamW, Adam, Lion and SGD', () =>
    expect(onDevice).toEqual([
      'adam',
      'adam_l2',
      'adamw',
      'adamw_eps_1e-6',
      'lion',
      'sgd_momentum',
      'sgd_nesterov',
    ]));
  test.each(onDevice)(
    '%s in tensor operations within the same tolerance, with the same bytes wherever its pages rest',
    async (name) => {
      const tensors = tf.memory().numTensors;
      const [all, some, none] = await Promise.all(
        [Infinity, 20_000, 0].map((budget) =>
          runOptimCase(path.join(fixtures, name), () =>
            deviceStateStore({
              pageBytes: 4096,
              residentBytes: budget === Infinity ? undefined : budget,
            }),
          ),
        ),
      );
      expect(all!.filter((result) => !passes(result))).toEqual([]);
      expect(some).toEqual(all);
      expect(none).toEqual(all);
      expect(tf.memory().numTensors).toBe(tensors);
    },
  );
});

describe('learning rates are those of the reference within 1e-12', () => {
  test.each(
    readScheduleTables(path.join(fixtures, 'schedules.json')).map(
      (table) => [table.name, table] as const,
    ),
  )('%s', (_name, table) => {
    const schedule = scheduleOf(table);
    const worst = Math.max(...table.values.map((value, step) => Math.abs(value - schedule(step))));
    expect(worst).toBeLessThanOrEqual(1e-12);
  });
});
