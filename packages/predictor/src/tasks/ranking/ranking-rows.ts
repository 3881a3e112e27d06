/** Rows of queries and documents: each a document with its relevance, or two of which one is better. */
import { encodePairs, groupRows, type EncodedPairs, type Table, type TextPair } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import { textSettings } from '../../data/text-columns.js';
import { textsOf, type ColumnRoles } from '../column-roles.js';
import type { DataTools } from '../predictor-task.js';
import { textLength } from '../text-length.js';

/** Pairs of query and document, and the table's row that each stands in. */
export interface RankingRows {
  readonly pairs: readonly TextPair[];
  readonly relevances: readonly number[];
  readonly rows: readonly number[];
}

/**
 * @throws PEFT_DATA_INVALID for a missing text or a relevance that is no number of at least 0,
 *   PEFT_COLUMN_MISSING
 */
export function rankingRows(table: Table, columns: ColumnRoles): RankingRows {
  const queries = textsOf(table, columns['query']!);
  if (columns['document'] !== undefined) {
    const documents = textsOf(table, columns['document']);
    return {
      pairs: queries.map((query, row) => [query, documents[row]!]),
      relevances: relevancesOf(table, columns['relevance']!),
      rows: [...queries.keys()],
    };
  }
  const better = textsOf(table, columns['positive']!);
  const worse = textsOf(table, columns['negative']!);
  return {
    pairs: queries.flatMap((query, row): TextPair[] => [
      [query, better[row]!],
      [query, worse[row]!],
    ]),
    relevances: queries.flatMap(() => [1, 0]),
    rows: queries.flatMap((_, row) => [row, row]),
  };
}

function relevancesOf(table: Table, column: string): number[] {
  return table.column(column).map((cell, row) => {
    const value = cell === null || cell === '' ? Number.NaN : Number(cell);
    if (value >= 0 && value < Infinity) return value;
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `predictor: row ${table.origin(row)} of ${table.source} must have a relevance of at least 0 ` +
        `in the column ${show(column)}, got ${show(cell)}.`,
      { hint: '1 for a document that answers its query, 0 for one that does not, or grades' },
    );
  });
}

/** The pairs of each query. */
export const queriesOf = ({ pairs }: Pick<RankingRows, 'pairs'>): number[][] =>
  groupRows(pairs.map(([query]) => query));

/** Pairs as tokens; those that are cut or empty are told by their rows. */
export function encodeRows(
  pairs: readonly TextPair[],
  { base, settings, signal, ...tools }: DataTools,
): Promise<EncodedPairs> {
  const { segments } = textSettings([], 1, base.config);
  return encodePairs(pairs, base.tokenizer, {
    maxLength: textLength({ base, settings, ...tools }),
    segments,
    signal,
  });
}
