/**
 * PEFT's further types against its own numbers, on the native engine; with PEFT_LONG_TESTS on the
 * portable one, too.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '@peft/ops';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIXTURES } from './describe-golden.js';
import { openEngine } from './engines.js';
import { check } from './sections/adapters.js';

const folders = readdirSync(join(FIXTURES, 'adapters')).filter((name) => name.startsWith('type_'));
const isBuilt = existsSync(
  fileURLToPath(
    new URL('../../packages/engines/native/build/Release/peft_native.node', import.meta.url),
  ),
);
const engines = [
  ...(isBuilt ? ['native'] : []),
  ...(process.env['PEFT_LONG_TESTS'] ? ['portable'] : []),
];

describe.skipIf(engines.length === 0)(
  "PEFT's further types agree in logits, merged and active, loss, gradients, training and files " +
    '(skipped: no addon)',
  () => {
    describe.each(engines)('on the %s engine', (name) => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await openEngine(name);
      });
      afterAll(() => engine.dispose());

      test.each(folders)('%s', async (folder) => {
        const before = tf.memory().numTensors;
        const { status, detail } = await check(join(FIXTURES, 'adapters', folder), {
          fixtures: FIXTURES,
          engine,
        });
        expect(`${status}: ${detail}`).toMatch(/^passed/);
        expect(tf.memory().numTensors).toBe(before);
      });
    });
  },
);
