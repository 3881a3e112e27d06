/**
 * Runs a group of tests on tfjs's cpu and wasm backends, and fails a test that leaves tensors
 * behind.
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
import { toBeAllclose } from '@peft/testing';

export function onEachBackend(title: string, tests: (backend: 'cpu' | 'wasm') => void): void {
  expect.extend({ toBeAllclose });
  describe.each(['cpu', 'wasm'] as const)(`${title} on %s`, (backend) => {
    let tensors = 0;
    beforeAll(async () => {
      await tf.setBackend(backend);
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
      await tf.setBackend('cpu');
    });
    tests(backend);
  });
}
