import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../engines.js';
import { check } from './quant.js';

const fixtures = fileURLToPath(new URL('../../../packages/testing/fixtures/', import.meta.url));
const cases = readdirSync(`${fixtures}quant`).filter((name) =>
  existsSync(`${fixtures}quant/${name}/case.json`),
);
const isBuilt = existsSync(
  fileURLToPath(
    new URL('../../../packages/engines/native/build/Release/peft_native.node', import.meta.url),
  ),
);
const engines = ['portable', ...(isBuilt ? ['native'] : [])];

describe.each(engines)(
  "bitsandbytes' checkpoints on the %s engine compute, train and are written as in Python",
  (name) => {
    it.each(cases)('%s', async (golden) => {
      const engine = await openEngine(name);
      const before = tf.memory().numTensors;
      const { status, detail } = await check(`${fixtures}quant/${golden}`, { fixtures, engine });
      expect(status, detail).toBe('passed');
      expect(tf.memory().numTensors).toBe(before);
      engine.dispose();
    });
  },
);
