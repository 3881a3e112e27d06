/** Output layers whose weight is an embedding's, and what it means to train one of the two. */
import type { ModelDescription } from './model-description.js';
import type { EmbeddingSite, LinearSite } from './sites.js';

/** An output layer and the embedding whose table it reads. */
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
