/**
 * Tensors that lie in the memory of a device: nothing can be read of them at once, since the device
 * works on its own and answers when it has come so far.
 *
 * A tfjs backend says so by a property of that name; every other backend is read at once.
 */
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../weights/engine.js';

/** What a tfjs backend has whose tensors are read later (`await tensor.data()`), never at once. */
export interface DeviceMemory {
  readonly hasDeviceMemory: true;
}

/**
 * Whether tensors lie in the memory of a device, so that `dataSync` would fail.
 * @param engine default: that of the current tfjs backend.
 */
export function hasDeviceMemory(engine?: Pick<Engine, 'backendName'>): boolean {
  const backend = engine ? tf.findBackend(engine.backendName) : tf.backend();
  return (backend as Partial<DeviceMemory> | null)?.hasDeviceMemory === true;
}
