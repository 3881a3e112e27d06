/**
 * Counts the bytes of the tensors that TensorFlow holds, by listening to what goes through the
 * addon.
 */
import * as tf from '@tensorflow/tfjs';
import type { TensorflowBackend, TensorflowBinding, TensorMetadata } from '../src/binding.js';

export interface CountedMemory {
  readonly livingBytes: number;
  readonly peakBytes: number;
  resetPeak(): void;
  stop(): void;
}

const ELEMENT_BYTES: Readonly<Record<number, number>> = {
  1: 4,
  3: 4,
  4: 1,
  6: 1,
  8: 8,
  9: 8,
  10: 1,
  14: 2,
  19: 2,
};
/** Operations whose result has its input's memory. */
const VIEWS = new Set(['Reshape', 'Bitcast', 'ExpandDims', 'Identity', 'Squeeze']);

/**
 * From now on, until it is stopped; tensors that are there already are not counted. The backend
 * must be registered.
 */
export function countMemory(): CountedMemory {
  const backend = tf.findBackend('tensorflow') as unknown as TensorflowBackend;
  const original = backend.binding;
  const buffers = new Map<number, { bytes: number; views: number }>();
  let [livingBytes, peakBytes] = [0, 0];
  const hold = (id: number, bytes: number): void => {
    buffers.set(id, { bytes, views: 1 });
    livingBytes += bytes;
    peakBytes = Math.max(peakBytes, livingBytes);
  };
  const bytesOf = (shape: readonly number[], type: number): number =>
    shape.reduce((product, size) => product * size, ELEMENT_BYTES[type] ?? 0);
  backend.binding = Object.create(original, {
    createTensor: {
      value: (...args: Parameters<TensorflowBinding['createTensor']>) => {
        const id = original.createTensor(...args);
        hold(id, bytesOf(args[0], args[1]));
        return id;
      },
    },
    executeOp: {
      value: (...args: Parameters<TensorflowBinding['executeOp']>): TensorMetadata[] => {
        const made = original.executeOp(...args);
        const viewed = VIEWS.has(args[0]) ? buffers.get(args[2][0]!) : undefined;
        for (const { id, shape, dtype } of made) {
          if (viewed) {
            viewed.views += 1;
            buffers.set(id, viewed);
          } else hold(id, bytesOf(shape, dtype));
        }
        return made;
      },
    },
    deleteTensor: {
      value: (id: number) => {
        original.deleteTensor(id);
        const buffer = buffers.get(id);
        buffers.delete(id);
        if (buffer && (buffer.views -= 1) === 0) livingBytes -= buffer.bytes;
      },
    },
  }) as TensorflowBinding;
  return {
    get livingBytes() {
      return livingBytes;
    },
    get peakBytes() {
      return peakBytes;
    },
    resetPeak: () => void (peakBytes = livingBytes),
    stop: () => void (backend.binding = original),
  };
}
