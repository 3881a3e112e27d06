/** PEFT's adapters against its own numbers, as `npm run test:golden` runs them; prompt methods have theirs in @peft/prompt-tuning. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from './engines.js';
import { check } from './sections/adapters.js';

const fixtures = fileURLToPath(new URL('../../packages/testing/fixtures', import.meta.url));
const inFolder = (name: string, file: string): boolean => existsSync(join(fixtures, 'adapters', name, file));
const folders = readdirSync(join(fixtures, 'adapters')).filter((name) => inFolder(name, 'case.json') && !inFolder(name, 'train_start.safetensors'));

describe('adapters agree with PEFT in logits, merged and active, loss, gradients, training and files', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine('portable');
  });
  afterAll(() => engine.dispose());

  test.each(folders)('%s', async (folder) => {
    const before = tf.memory().numTensors;
    const { status, detail } = await check(join(fixtures, 'adapters', folder), { fixtures, engine });
    expect(`${status}: ${detail}`).toMatch(/^passed/);
    expect(tf.memory().numTensors).toBe(before);
  });
});
