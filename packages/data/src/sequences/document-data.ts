/** Queries with their documents, for rerankers: a row is a query with all of its documents. */
import { PeftError } from '@peft/errors';
import { packBatch, type PackedBatch } from '../batches/packed-batch.js';
import type { EncodedPairs } from '../texts/encode-pairs.js';
import { ends } from './token-data.js';

/** Pairs of some queries, one after another. */
export interface DocumentBatch extends Omit<PackedBatch, 'labels'> {
  /** How relevant the document of each pair is. */
  readonly labels: Float32Array; // [B]
  /** Query r is pairs exampleOffsets[r] … exampleOffsets[r+1]. */
  readonly exampleOffsets: Int32Array; // [R+1]
}

/** Queries as the data of a training run. */
export interface DocumentData {
  /** Tokens of each query with its documents. */
  readonly lengths: Int32Array;
  pack(rows: ArrayLike<number>): DocumentBatch;
}

/**
 * @param encoded all pairs of query and document.
 * @param relevances of each pair.
 * @param groups the pairs of each query, in the order of its documents.
 * @throws PEFT_DATA_INVALID for a query without documents
 */
export function documentData(
  { pairs, hasTypes }: EncodedPairs,
  relevances: ArrayLike<number>,
  groups: readonly (readonly number[])[],
): DocumentData {
  const bare = groups.findIndex(({ length }) => length === 0);
  if (bare >= 0) throw new PeftError('PEFT_DATA_INVALID', `data: query ${bare} has no documents.`);
  return Object.freeze<DocumentData>({
    lengths: Int32Array.from(groups, (group) =>
      group.reduce((sum, pair) => sum + pairs[pair]!.ids.length, 0),
    ),
    pack(rows) {
      const chosen = Array.from(rows, (row) => groups[row]!);
      const { labels: _, ...batch } = packBatch(
        chosen.flat().map((pair) => ({
          inputIds: pairs[pair]!.ids,
          tokenTypeIds: hasTypes ? pairs[pair]!.typeIds : undefined,
          row: pair,
        })),
      );
      return {
        ...batch,
        labels: Float32Array.from(chosen.flat(), (pair) => relevances[pair]!),
        exampleOffsets: ends(chosen.map(({ length }) => length)),
      };
    },
  });
}

/** Rows that have the same key belong together; groups and rows in the order of the table. */
export function groupRows(keys: readonly string[]): number[][] {
  const groups = new Map<string, number[]>();
  keys.forEach((key, row) => {
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  });
  return [...groups.values()];
}
