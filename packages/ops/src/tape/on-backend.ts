/** Runs a computation on another tfjs backend. */
import * as tf from '@tensorflow/tfjs';

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
