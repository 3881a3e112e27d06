/**
 * Embeddings that read another one's table, each a module of its own to PEFT: what is attached to
 * one leaves the others as they are. The module that holds the table takes no part in the forward
 * pass.
 */
import type { ModelDescription } from './model-description.js';
import type { EmbeddingSite } from './sites.js';

/** An embedding and the one whose table it reads. */
export interface TiedEmbedding {
  readonly reader: EmbeddingSite;
  /** Where the table is. */
  readonly embedding: EmbeddingSite;
}

/** Embeddings that read another one's table. */
export function tiedEmbeddings({ sites }: Pick<ModelDescription, 'sites'>): TiedEmbedding[] {
  return sites.flatMap((reader) => {
    if (reader.kind !== 'embedding' || reader.tiedTo === undefined) return [];
    const embedding = sites.find(
      (site): site is EmbeddingSite => site.kind === 'embedding' && site.path === reader.tiedTo,
    );
    return embedding ? [{ reader, embedding }] : [];
  });
}

/**
 * Paths of the modules that hold the word embeddings' tables (transformers'
 * `get_input_embeddings`).
 */
export function wordTables({ sites }: Pick<ModelDescription, 'sites'>): string[] {
  return [
    ...new Set(
      sites.flatMap((site) =>
        site.kind === 'embedding' && site.role === 'embedding.word'
          ? [site.tiedTo ?? site.path]
          : [],
      ),
    ),
  ];
}
