/** Models against numbers of Hugging Face transformers: the golden cases, as `npm run test:golden` runs them. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { openEngine } from '../../../tools/golden/engines.js';
import { check } from '../../../tools/golden/sections/models.js';
import { FIXTURES, modelFolders } from './fixtures.js';

describe('models agree with transformers in states, logits, loss, gradients and greedy text', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  test.each(modelFolders)('%s', async (folder) => {
    const before = tf.memory().numTensors;
    const { status, detail } = await check(join(FIXTURES, 'models', folder), { fixtures: FIXTURES, engine });
    expect(`${status}: ${detail}`).toMatch(/^passed/);
    expect(tf.memory().numTensors).toBe(before);
  });
});
