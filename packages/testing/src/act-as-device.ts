/**
 * An engine on this machine's processor that acts as one on a device: nothing can be read of its
 * tensors at once, and what is read later comes some turns of the event loop later, as it was when
 * it was asked for. So code for devices is tested where there is none.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import type { DataTypeMap, Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { onBackend, type Engine, type FrozenWeight } from '@peft/ops';

/** An engine that acts as a device until `restore`. */
export interface ActedDevice {
  /** How often tensors were read. */
  readonly reads: number;
  restore(): void;
}

type Values = DataTypeMap[keyof DataTypeMap];
/** tfjs's engine with what its types keep private. */
interface TfEngine {
  readonly state: { readonly tensorInfo: WeakMap<object, { readonly backend: unknown }> };
  readSync?: (dataId: object) => Values;
  read?: (dataId: object) => Promise<Values>;
}

/**
 * Lets an engine act as a device.
 * @throws PEFT_READ_SYNCHRONOUS from then on, when a tensor is read at once
 */
export function actAsDevice(engine: Engine): ActedDevice {
  const backend = tf.findBackend(engine.backendName);
  const acted = backend as { hasDeviceMemory?: true };
  const tfEngine = tf.engine() as unknown as TfEngine;
  const { readSync, read } = Object.getPrototypeOf(tfEngine) as Required<TfEngine>;
  const isThere = (dataId: object): boolean =>
    tfEngine.state.tensorInfo.get(dataId)?.backend === backend;
  let reads = 0;
  let inEngine = 0;
  acted.hasDeviceMemory = true;
  tfEngine.readSync = (dataId) => {
    if (isThere(dataId) && inEngine === 0)
      throw new PeftError('PEFT_READ_SYNCHRONOUS', 'a tensor of a device was read synchronously.', {
        hint: 'await readValues(tensor) of @peft/ops',
      });
    return readSync.call(tfEngine, dataId);
  };
  tfEngine.read = async (dataId) => {
    if (!isThere(dataId)) return read.call(tfEngine, dataId);
    reads += 1;
    const values = readSync.call(tfEngine, dataId).slice();
    await nextTurn();
    await nextTurn();
    return values;
  };
  const own = engine as { -readonly [K in keyof Engine]: Engine[K] };
  const within = <T>(body: () => T): T => {
    inEngine += 1;
    try {
      return body();
    } finally {
      inEngine -= 1;
    }
  };
  /** A tensor of the current backend, as an engine of a device makes it of the stored bytes. */
  const here = <T extends Tensor>(make: () => T): T => {
    if (tf.getBackend() === engine.backendName) return within(make);
    const { values, shape } = onBackend(engine.backendName, () => {
      const tensor = within(make);
      const read = readSync.call(tfEngine, tensor.dataId).slice();
      tensor.dispose();
      return { values: read, shape: tensor.shape };
    });
    return tf.tensor(values as Float32Array, shape, 'float32') as T;
  };
  const { dequantize, gather } = engine;
  own.dequantize = (weight: FrozenWeight) => here(() => dequantize.call(engine, weight));
  own.gather = (weight, ids) => here(() => gather.call(engine, weight, ids));
  return {
    get reads() {
      return reads;
    },
    restore: () => {
      delete acted.hasDeviceMemory;
      delete tfEngine.readSync;
      delete tfEngine.read;
      own.dequantize = dequantize;
      own.gather = gather;
    },
  };
}
