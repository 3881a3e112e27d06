/** Tests that need a Vulkan driver, or say why they were skipped. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createWebgpuEngine, type WebgpuEngine, type WebgpuEngineOptions } from '../src/index.js';
import { useSoftwareDriver } from '../../../../tools/test-setup/software-vulkan.js';

const missing = useSoftwareDriver();

/** `describe` with an active engine; no test may leave tensors behind. */
export function describeOnWebgpu(
  title: string,
  body: (engine: () => WebgpuEngine) => void,
  options: WebgpuEngineOptions = {},
): void {
  if (missing) {
    describe.skip(`${title} (skipped: ${missing})`, () => test('needs a driver'));
    return;
  }
  describe(title, () => {
    let engine: WebgpuEngine;
    let tensors = 0;
    beforeAll(async () => {
      engine = await createWebgpuEngine(options);
      await engine.activate();
    });
    beforeEach(() => {
      tensors = tf.memory().numTensors;
      tf.engine().startScope();
    });
    afterEach(() => {
      tf.engine().endScope();
      expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
    });
    afterAll(async () => {
      engine.dispose();
      await tf.setBackend('cpu');
    });
    body(() => engine);
  });
}
