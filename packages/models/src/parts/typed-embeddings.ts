/**
 * BERT's embeddings, LN(E_word[id] + E_type[segment] + E_position[t]), of a width of their own, as
 * its relatives with narrow embeddings have them.
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelBatch, ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import { embedTokens, sum } from './embed-tokens.js';

/** Sites below `path`. @param sizes rows of the tables, and their width. */
export function describeEmbeddings(
  model: DescriptionBuilder,
  path: string,
  sizes: {
    readonly size: number;
    readonly vocabularySize: number;
    readonly positions: number;
    readonly tokenTypes: number;
  },
): void {
  const { size } = sizes;
  const word = `${path}.word_embeddings`;
  model.sequence(word, { role: 'sequence', size, stack: 'encoder', embedding: word });
  model.embedding(word, { role: 'embedding.word', rows: sizes.vocabularySize, size });
  model.embedding(`${path}.position_embeddings`, {
    role: 'embedding.position',
    rows: sizes.positions,
    size,
  });
  model.embedding(`${path}.token_type_embeddings`, {
    role: 'embedding.token-type',
    rows: sizes.tokenTypes,
    size,
  });
  model.layerNorm(`${path}.LayerNorm`, { role: 'norm.embedding', size });
  model.sequence(path, { role: 'sequence.embedded', size, stack: 'encoder', embedding: word });
}

/** @returns rows `[N, size]` and their layout. */
export function embedWithTypes(
  run: ModelRun,
  path: string,
  { epsilon, hiddenDropout }: { readonly epsilon: number; readonly hiddenDropout: number },
  batch: ModelBatch,
): { readonly x: Tensor2D; readonly offsets: Int32Array } {
  const word = `${path}.word_embeddings`;
  const { x, offsets, positions, tokenTypes } = embedTokens(
    run,
    { embedding: word, sequence: word, stack: 'encoder' },
    batch,
  );
  const embedded = sum(
    x,
    run.embed(`${path}.token_type_embeddings`, tokenTypes),
    run.embed(`${path}.position_embeddings`, positions),
  );
  return run.sequence(
    path,
    run.dropout(path, run.norm(`${path}.LayerNorm`, embedded, epsilon), hiddenDropout),
    offsets,
  );
}
