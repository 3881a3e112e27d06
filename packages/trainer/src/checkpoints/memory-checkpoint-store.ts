/** Checkpoints in memory: for runs that need the best ones at the end and nothing on disk. */
import { PeftError } from '@peft/errors';
import type { TensorSource } from '@peft/ops';
import type { Checkpoint, CheckpointStore } from './checkpoint-store.js';

/** A store that lives as long as the process. */
export function memoryCheckpointStore(): CheckpointStore {
  const saved = new Map<number, Checkpoint>();
  return {
    save: (checkpoint) => {
      saved.set(checkpoint.state.step, {
        state: structuredClone(checkpoint.state),
        parameters: checkpoint.parameters.map(copy),
        optimizer: checkpoint.optimizer.map(copy),
      });
      return Promise.resolve(`memory:${checkpoint.state.step}`);
    },
    steps: () => Promise.resolve([...saved.keys()].sort((a, b) => a - b)),
    open: (step) => {
      const found = saved.get(step);
      if (!found)
        return Promise.reject(
          new PeftError(
            'PEFT_CHECKPOINT_MISSING',
            `trainer: there is no checkpoint of step ${step} in memory.`,
          ),
        );
      return Promise.resolve({ ...found, close: () => undefined });
    },
    remove: (step) => {
      saved.delete(step);
      return Promise.resolve();
    },
  };
}

function copy(source: TensorSource): TensorSource {
  const { name, dtype, shape, byteLength } = source;
  const bytes = source.read().slice();
  return {
    name,
    dtype,
    shape,
    byteLength,
    read: (offset = 0, length = byteLength - offset) => bytes.slice(offset, offset + length),
  };
}
