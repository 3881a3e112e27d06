/** adapter-hub's adapters against numbers of the library itself: logits, six training steps, files. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine } from '@peft/ops';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../../tools/golden/engines.js';
import { check } from '../../../tools/golden/sections/bottleneck.js';

const FIXTURES = fileURLToPath(new URL('../../testing/fixtures', import.meta.url));
const folders = readdirSync(join(FIXTURES, 'bottleneck')).filter((name) => existsSync(join(FIXTURES, 'bottleneck', name, 'case.json')));

describe('adapters agree with adapter-hub in logits, loss, gradients, training and files', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  test.each(folders)('%s', async (folder) => {
    const before = tf.memory().numTensors;
    const { status, detail } = await check(join(FIXTURES, 'bottleneck', folder), { fixtures: FIXTURES, engine });
    expect(`${status}: ${detail}`).toMatch(/^passed/);
    expect(tf.memory().numTensors).toBe(before);
  });
});
