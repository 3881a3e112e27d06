/** Runs a computation on another tfjs backend. */
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../weights/engine.js';
import { hasDeviceMemory } from './device-memory.js';

/**
 * Makes a backend the current one for the time of `body`. It must be one that starts at once, so
 * that nothing else runs in between.
 */
export function onBackend<T>(name: string, body: () => T): T {
  const outer = tf.getBackend();
  if (outer !== name) void tf.setBackend(name);
  if (tf.getBackend() !== name) throw new Error(`the tfjs backend ${name} did not start`);
  try {
    return body();
  } finally {
    if (outer && outer !== name) void tf.setBackend(outer);
  }
}

/** tfjs's own backend in JavaScript, which is always there. */
const HOST_BACKEND = 'cpu';

/**
 * Runs a computation in host memory where the engine's is a device's, and on the engine otherwise:
 * what is made and read once, while a model is loaded, changed or saved. Tensors that are made there
 * go to the device with the first operation on it.
 */
export const onHost = <T>(engine: Pick<Engine, 'backendName'>, body: () => T): T =>
  hasDeviceMemory(engine) ? onHostBackend(body) : body();

/** Runs a computation in host memory, whatever the engine. */
export const onHostBackend = <T>(body: () => T): T => onBackend(HOST_BACKEND, body);
