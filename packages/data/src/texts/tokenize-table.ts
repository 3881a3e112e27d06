/** Tokenises the text columns of a table into examples that are ready to be packed. */
import { check } from '@peft/errors';
import { packBatch, type PackedBatch } from '../batches/packed-batch.js';
import type { Table } from '../tables/table.js';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { joinTexts, joinTokens, type JoinOptions } from './join-texts.js';

/** How `tokenizeTable` joins and cuts the texts of a row. */
export interface TokenizeOptions extends JoinOptions {
  /** Stops between rows. */
  readonly signal?: AbortSignal;
}

/** All rows of a table as tokens, packed into flat arrays. */
export interface TokenizedTable {
  readonly rows: number;
  /** Tokens of each row `[rows]`. */
  readonly lengths: Int32Array;
  /** Rows that lost tokens beyond the longest length. */
  readonly cut: readonly number[];
  /** Rows without a token of their own: all texts missing or empty. */
  readonly empty: readonly number[];
  /** The given rows as one batch; labels are those of these rows. */
  batch(rows: ArrayLike<number>, labels?: Int32Array | Float32Array): PackedBatch;
}

const ROWS_PER_TURN = 256;

/**
 * Each row's texts are tokenised without special tokens, trimmed and joined (`joinTexts`). A
 * missing cell is the empty text, a number or boolean its usual spelling. Yields to the event loop
 * every 256 rows.
 *
 * @throws PEFT_COLUMN_MISSING, PEFT_COLUMN_NESTED, PEFT_TOKENIZER_SPECIAL_MISSING; the signal's
 *   reason when aborted.
 */
export async function tokenizeTable(
  table: Table,
  columns: readonly string[],
  tokenizer: TextTokenizer,
  options: TokenizeOptions,
): Promise<TokenizedTable> {
  check.positiveInteger('data', 'number of text columns', columns.length);
  const tokens = joinTokens(tokenizer);
  const texts = columns.map((name) => table.column(name));
  const overhead = joinTexts(
    columns.map(() => []),
    tokens,
    options,
  ).ids.length;
  const cut: number[] = [];
  const empty: number[] = [];
  const ids: Int32Array[] = [];
  const typeIds: Int32Array[] = [];
  for (let row = 0; row < table.rows; row += 1) {
    if (row % ROWS_PER_TURN === 0) {
      if (row > 0) await new Promise((resolve) => setImmediate(resolve));
      options.signal?.throwIfAborted();
    }
    const own = texts.map((cells) => tokenizer.ids(cells[row] === null ? '' : String(cells[row])));
    const joined = joinTexts(own, tokens, options);
    const count = own.reduce((sum, each) => sum + each.length, 0);
    if (count === 0) empty.push(row);
    if (joined.ids.length < count + overhead) cut.push(row);
    ids.push(Int32Array.from(joined.ids));
    typeIds.push(Int32Array.from(joined.typeIds));
  }
  const withTypes = (options.segments ?? 1) > 1;
  return {
    rows: table.rows,
    cut,
    empty,
    lengths: Int32Array.from(ids, (each) => each.length),
    batch: (rows, labels) =>
      packBatch(
        Array.from(rows, (row) => ({
          inputIds: ids[row]!,
          row,
          tokenTypeIds: withTypes ? typeIds[row] : undefined,
          label: labels?.[row],
        })),
        labels instanceof Float32Array ? 'float32' : 'int32',
      ),
  };
}
