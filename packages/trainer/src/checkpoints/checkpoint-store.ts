/**
 * Where a run's checkpoints go. Two stores are here: a folder and memory; others fit in by the same
 * interface.
 */
import type { TensorSource } from '@peft/ops';
import type { RunState } from './run-state.js';

/** Everything that a run needs to go on exactly: parameters, optimiser, position. */
export interface Checkpoint {
  readonly state: RunState;
  /**
   * Every parameter of the active adapters, `<adapter>/<name>`, and what their hooks remember,
   * `<adapter>//<number>/<name>`.
   */
  readonly parameters: readonly TensorSource[];
  /** The optimiser's state as named tensors. */
  readonly optimizer: readonly TensorSource[];
}

/** A checkpoint opened for reading; the caller closes it. */
export interface OpenCheckpoint extends Checkpoint {
  close(): void;
}

/**
 * Where checkpoints are kept;
 * @see folderCheckpointStore, memoryCheckpointStore.
 */
export interface CheckpointStore {
  /** The absolute path of the folder that holds them, if one does. */
  readonly folder?: string;
  /**
   * Called when a run begins.
   * @throws PEFT_CHECKPOINT_WRITE when it is certain that nothing could be saved,
   *   PEFT_CHECKPOINT_DAMAGED for what is named like a checkpoint and can be none
   */
  prepare?(): Promise<void>;
  /**
   * Saves a checkpoint, whole or not at all; one of the same step is replaced.
   * @returns where it is, for people.
   * @throws PEFT_CHECKPOINT_WRITE; earlier checkpoints are whole then.
   */
  save(checkpoint: Checkpoint): Promise<string>;
  /** Steps of the checkpoints that are here, ascending. */
  steps(): Promise<readonly number[]>;
  /** @throws PEFT_CHECKPOINT_MISSING, PEFT_CHECKPOINT_DAMAGED */
  open(step: number): Promise<OpenCheckpoint>;
  /** Forgets a checkpoint; one that is not here is no error. */
  remove(step: number): Promise<void>;
}
