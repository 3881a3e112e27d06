import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../engines.js';
import { check } from './adapters.js';

const fixtures = fileURLToPath(new URL('../../../packages/testing/fixtures/', import.meta.url));
const cases = readdirSync(`${fixtures}adapters`).filter((name) =>
  existsSync(`${fixtures}adapters/${name}/case.json`),
);

describe('adapters that PEFT saved compute, merge, train and are written as in PEFT', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  it.each(cases)('%s', async (name) => {
    const before = tf.memory().numTensors;
    const { status, detail } = await check(`${fixtures}adapters/${name}`, { fixtures, engine });
    expect(status, detail).toBe('passed');
    expect(tf.memory().numTensors).toBe(before);
  });
});
