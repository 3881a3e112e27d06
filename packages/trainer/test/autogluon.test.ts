import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { check } from '../../../tools/golden/sections/autogluon.js';
import { tinyEngine } from './tiny-run.js';

const fixtures = fileURLToPath(new URL('../../testing/fixtures', import.meta.url));

describe("AutoGluon's own numbers", () => {
  it.each([
    'fit_ia3_bias_deberta',
    'fit_ia3_lora_bias_deberta',
    'fit_lora_norm_xlmr',
    'fit_ia3_bias_flan_t5',
  ])('are those of %s: losses, gradient norms, rates, trained tensors, logits', async (name) => {
    const engine = await tinyEngine();
    const before = tf.memory().numTensors;
    expect(await check(join(fixtures, 'autogluon', name), { fixtures, engine })).toMatchObject({
      status: 'passed',
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('are those of the tables of counts and layer ids', async () => {
    expect(
      await check(join(fixtures, 'autogluon'), { fixtures, engine: await tinyEngine() }),
    ).toMatchObject({ status: 'passed' });
  });
});
