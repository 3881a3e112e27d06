/** A forward pass through blocks that ranks share, without gradients. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { runStage, type ModelBatch, type RunOptions, type ShardedBlocks } from '@peft/core';

/**
 * Runs a batch block by block. All ranks call it alike, also one that has no batch.
 * @param read runs the model and begins to read what it gives; in a tidy scope
 * @returns what `read` gave; undefined without a batch
 */
export async function throughBlocks<B extends ModelBatch, T>(
  shards: ShardedBlocks,
  batch: B | undefined,
  read: (batch: B, options: RunOptions) => Promise<T>,
): Promise<T | undefined> {
  const order = Array.from({ length: shards.blocks }, (_, block) => block);
  let state: Tensor2D | undefined;
  let given: Promise<T> | undefined;
  try {
    await shards.inOrder(order, (block) => {
      if (!batch) return;
      const stageInput = state;
      const window = shards.windowOf(block);
      tf.tidy(() => {
        const result = runStage(() => read(batch, { window, stageInput }));
        if (result.kind === 'output') given = result.output;
        else state = tf.keep(result.state);
      });
      if (state !== stageInput) stageInput?.dispose();
    });
    return await given;
  } finally {
    state?.dispose();
  }
}
