import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { matrixInverse } from '../decompositions/matrix-inverse.js';
import { copyRows } from '../rows/copy-rows.js';
import { scatterAddRows } from '../rows/gather-rows.js';
import { segmentSums } from '../rows/segment-sums.js';
import { hasDeviceMemory } from './device-memory.js';
import { watchReferences } from './kernel.js';
import { onHost } from './on-backend.js';
import { readInScope, readValues } from './read-values.js';

/** Runs `body` as if the backend's memory were a device's, which no operation may read then. */
function asOnDevice<T>(body: () => T): T {
  const backend = tf.backend() as { hasDeviceMemory?: true };
  const engine = tf.engine() as { readSync?: unknown };
  backend.hasDeviceMemory = true;
  engine.readSync = () => {
    throw new Error('read at once');
  };
  try {
    return body();
  } finally {
    delete backend.hasDeviceMemory;
    delete engine.readSync;
  }
}

onEachBackend('device memory', () => {
  const skew = (): Tensor3D =>
    tf.tidy(() => {
      const q = seededTensor<Tensor3D>('q', [2, 5, 5]);
      return tf.add(tf.eye(5), tf.sub(q, tf.transpose(q, [0, 2, 1])));
    });
  test.each<readonly [string, () => Tensor]>([
    ['rows with holes', () => copyRows(seededTensor('x', [4, 3]), Int32Array.of(2, -1, 0, 2), 7)],
    ['numbers', () => copyRows(seededTensor('x', [4]), Int32Array.of(3, -1, 0))],
    [
      'added rows',
      () => scatterAddRows(seededTensor<Tensor2D>('x', [4, 3]), Int32Array.of(3, 0, 3, 3), 5),
    ],
    [
      'sums of segments',
      () => segmentSums(seededTensor<Tensor1D>('x', [6]), Int32Array.of(1, -1, 0, 1, 3, 1), 4),
    ],
    ['inverses', () => matrixInverse(skew())],
  ])('%s are those of host memory', (_, run) => {
    expect(asOnDevice(run)).toBeAllclose(run(), { atol: 1e-5, rtol: 1e-5 });
  });

  test('is what a backend says of itself; then what is done once is done in host memory', () => {
    const engine = { backendName: tf.getBackend() };
    expect([hasDeviceMemory(), hasDeviceMemory(engine)]).toEqual([false, false]);
    expect(onHost(engine, () => tf.getBackend())).toBe(engine.backendName);
    expect(
      asOnDevice(() => [hasDeviceMemory(engine), onHost(engine, () => tf.getBackend())]),
    ).toEqual([true, 'cpu']);
    expect(tf.getBackend()).toBe(engine.backendName);
  });

  test('what a scope reads is there after its end, and leaves nothing behind', async () => {
    const before = tf.memory().numTensors;
    const read = readInScope(async () => {
      const x = tf.tensor1d([1, 2, 3]);
      const [whole, sum] = await Promise.all([readValues(x), readValues(tf.sum(x))]);
      return [...whole, ...sum];
    });
    expect(await read).toEqual([1, 2, 3, 6]);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('operations without a kernel of their own are told by name, until the watch ends', () => {
    const seen: string[] = [];
    const end = watchReferences((name) => seen.push(name));
    const run = () => scatterAddRows(seededTensor<Tensor2D>('x', [2, 3]), Int32Array.of(1, 0), 2);
    run();
    end();
    run();
    expect(seen).toEqual(['PeftScatterAddRows']);
  });
});
