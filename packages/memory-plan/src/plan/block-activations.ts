/** What a block keeps for its backward pass, roughly: enough to compare stages by. */
import type { ModelDescription } from '@peft/core';
import type { RunSettings } from './plan-memory.js';

/**
 * Of one micro-batch, in float32: per token ten times D and twice F, or D alone where a block keeps
 * only its input.
 */
export function activationBytesOfBlock(
  { hiddenSize, sites }: Pick<ModelDescription, 'hiddenSize' | 'sites'>,
  { batch = { sequences: 1, length: 128 }, checkpointing = false }: RunSettings,
): number {
  const tokens = batch.packed?.inputIds.length ?? batch.sequences * batch.length;
  const feedForward = sites.reduce(
    (most, site) =>
      site.kind === 'linear' && site.role.startsWith('ffn')
        ? Math.max(most, site.outFeatures)
        : most,
    0,
  );
  const isKept = checkpointing === false;
  return tokens * 4 * (isKept ? 10 * hiddenSize + 2 * feedForward : hiddenSize);
}
