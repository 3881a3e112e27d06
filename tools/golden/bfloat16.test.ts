import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { loadBinding } from '@peft/native';
import { measureBfloatError, modelCases } from './bfloat16.js';

const fixtures = fileURLToPath(new URL('../../packages/testing/fixtures', import.meta.url));
const hasBfloat16 =
  existsSync(
    fileURLToPath(
      new URL('../../packages/engines/native/build/Release/peft_native.node', import.meta.url),
    ),
  ) && loadBinding().info().bf16;

// bf16 rounds each operand by at most 2⁻⁹ = 0.2 %; a few layers add that up. T5's softmax has no
// 1/√d and sharpens it.
describe.skipIf(!hasBfloat16)(
  "the native engine's bf16 mode stays near the float32 values of the golden cases " +
    '(skipped: no bf16 instructions or no addon)',
  () => {
    it.each(modelCases(fixtures))('%s', async (family) => {
      const before = tf.memory().numTensors;
      const { hidden, logits, loss, gradientLargest } = await measureBfloatError(fixtures, family);
      expect(hidden, 'last hidden state').toBeLessThan(0.025);
      expect(logits, 'logits').toBeLessThan(0.03);
      expect(loss, 'loss').toBeLessThan(0.006);
      expect(gradientLargest, 'gradients').toBeLessThan(family === 't5' ? 0.15 : 0.07);
      expect(hidden, 'it is bf16 that runs').toBeGreaterThan(0.0005);
      expect(tf.memory().numTensors).toBe(before);
    });
  },
);
