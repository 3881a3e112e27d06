/** Output layers whose weight is an embedding's, and what it means to train one of the two. */
import type { Tensor2D, Variable } from '@tensorflow/tfjs';
import { linear } from '@peft/ops';
import type { ModelDescription } from '../description/model-description.js';
import type { LinearAdapter } from '../method/peft-method.js';
import type { EmbeddingSite, LinearSite } from '../description/sites.js';

export interface TiedOutput {
  readonly output: LinearSite;
  readonly embedding: EmbeddingSite;
}

/** Output layers that read an embedding's table. */
export function tiedOutputs({ sites }: Pick<ModelDescription, 'sites'>): TiedOutput[] {
  return sites.flatMap((output) => {
    if (output.kind !== 'linear') return [];
    const embedding = sites.find(
      (site): site is EmbeddingSite => site.kind === 'embedding' && site.weight === output.weight,
    );
    return embedding ? [{ output, embedding }] : [];
  });
}

/**
 * An output layer with a weight of its own in place of the shared one: y = x·Wᵀ.
 * @param weight W `[V, D]`
 */
export const untiedOutput = (weight: () => Variable): LinearAdapter => ({
  forward: (x) => linear(x, weight() as unknown as Tensor2D),
});
