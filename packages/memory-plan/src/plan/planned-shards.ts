/** What a rank holds of blocks that it shares with others. */
import { sharedMatrices } from '@peft/core';
import type { MeasuredModel } from '../sizing/measure-step.js';

/** Blocks that ranks share. JSON-safe. */
export interface PlannedShards {
  readonly ranks: number;
  readonly blocks: number;
  /** Of all shared matrices. */
  readonly sharedBytes: number;
  readonly largestBlockBytes: number;
  /** What a rank holds of them: its part, and a block as it computes, beside one that arrives. */
  readonly heldBytes: number;
}

/** What was gathered, what is being gathered, and the weights that the engine makes of the first. */
const WHOLE_BLOCKS = 3;

export function plannedShards(
  { description, weightBytesOf }: Pick<MeasuredModel, 'description' | 'weightBytesOf'>,
  ranks: number,
): PlannedShards {
  const blocks = new Map<number, number>();
  for (const [name, block] of sharedMatrices(description))
    blocks.set(block, (blocks.get(block) ?? 0) + weightBytesOf(name));
  const sharedBytes = [...blocks.values()].reduce((sum, bytes) => sum + bytes, 0);
  const largestBlockBytes = Math.max(0, ...blocks.values());
  return {
    ranks,
    blocks: description.layers.encoder + description.layers.decoder,
    sharedBytes,
    largestBlockBytes,
    heldBytes: sharedBytes / ranks + WHOLE_BLOCKS * largestBlockBytes,
  };
}
