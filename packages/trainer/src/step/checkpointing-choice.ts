/**
 * Whether blocks should keep only their inputs for the backward pass, judged by what they would
 * keep otherwise.
 */
import { freemem } from 'node:os';
import type { ModelDescription } from '@peft/core';

/**
 * Bytes that the backward pass of one micro-batch keeps without gradient checkpointing, roughly:
 * per token and block the inputs and results of the projections, norms and residuals (ten times D)
 * and of the feed-forward layer (twice F), in float32.
 */
export function activationBytes(description: ModelDescription, tokens: number): number {
  const { hiddenSize, layers } = description;
  const feedForward = Math.max(
    0,
    ...description.sites.map((site) =>
      site.kind === 'linear' && site.role.startsWith('ffn') ? site.outFeatures : 0,
    ),
  );
  return tokens * (layers.encoder + layers.decoder) * 4 * (10 * hiddenSize + 2 * feedForward);
}

/**
 * Resolves `auto`: on when the activations would take over half of the memory that is free. Both
 * ways give the same gradients.
 */
export function chooseCheckpointing(
  option: boolean | 'auto' | ReadonlySet<number>,
  description: ModelDescription,
  tokens: number,
  freeBytes: number = availableMemory(),
): boolean | ReadonlySet<number> {
  return option === 'auto' ? activationBytes(description, tokens) > freeBytes / 2 : option;
}

/**
 * What this process may still take: the container's limit where there is one, else the machine's
 * free memory.
 */
function availableMemory(): number {
  return (process as { availableMemory?: () => number }).availableMemory?.() ?? freemem();
}
