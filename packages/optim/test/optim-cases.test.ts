import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { pagedStateStore } from '../src/index.js';
import { passes, readScheduleTables, runOptimCase, scheduleOf } from './optim-case.js';

const fixtures = fileURLToPath(new URL('../../testing/fixtures/optim', import.meta.url));
const cases = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());

beforeAll(() => tf.setBackend('cpu'));

describe('20 steps from the same start end where the reference library does', () => {
  test.each(cases.map(({ name }) => name))('%s', (name) => {
    const tensors = tf.memory().numTensors;
    const results = runOptimCase(path.join(fixtures, name));
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter((result) => !passes(result))).toEqual([]);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test.each(cases.map(({ name }) => name))('%s with every page in a file, to the last bit', (name) => {
    const paged = runOptimCase(path.join(fixtures, name), () => pagedStateStore({ residentBytes: 0, pageBytes: 4096 }));
    expect(paged).toEqual(runOptimCase(path.join(fixtures, name)));
  });
});

describe('learning rates are those of the reference within 1e-12', () => {
  test.each(readScheduleTables(path.join(fixtures, 'schedules.json')).map((table) => [table.name, table] as const))('%s', (_name, table) => {
    const schedule = scheduleOf(table);
    const worst = Math.max(...table.values.map((value, step) => Math.abs(value - schedule(step))));
    expect(worst).toBeLessThanOrEqual(1e-12);
  });
});
