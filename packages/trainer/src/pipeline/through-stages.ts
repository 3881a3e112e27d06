/** A forward pass through all stages of a model, without gradients. */
import * as tf from '@tensorflow/tfjs';
import { runStage, type ModelBatch, type RunOptions } from '@peft/core';
import type { StageLink } from './stage-link.js';

/**
 * Runs this stage's part of a batch.
 * @param read runs the model, and on the last stage begins to read what it gives; in a tidy scope
 * @returns what `read` gave, on the last stage; the others send their state on
 */
export async function throughStages<B extends ModelBatch, T>(
  link: StageLink,
  batch: B,
  read: (options: RunOptions) => Promise<T>,
): Promise<T | undefined> {
  const stageInput = await link.receiveState(batch);
  try {
    let given: Promise<T> | undefined;
    tf.tidy(() => {
      const result = runStage(() => read({ stageInput }));
      if (result.kind === 'output') given = result.output;
      else link.sendState(batch, result.state);
    });
    return await given;
  } finally {
    stageInput?.dispose();
  }
}
