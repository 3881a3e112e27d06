/** Options of `readTable`, and what its readers share. */
import { PeftError } from '@peft/errors';

/**
 * How a file holds a table; `text` has the single column `text`, `conll` the columns `tokens` and `tags`.
 */
export type TableFormat = 'csv' | 'tsv' | 'jsonl' | 'json' | 'parquet' | 'text' | 'conll';

/** How `readTable` reads a file. */
export interface ReadTableOptions {
  /** Default: by the ending of the path. */
  readonly format?: TableFormat;
  /**
   * CSV and TSV: whether the first line names the columns. Default `'auto'`: looks at the cells;
   * with `columns`, whether it repeats them.
   */
  readonly header?: 'auto' | boolean;
  /**
   * CSV and TSV: names of the columns, replacing a header. Without header and names they are `0`,
   * `1`, …
   */
  readonly columns?: readonly string[];
  /**
   * Columns that somebody will ask for. A first line that holds them is a header, whatever its other
   * names look like.
   */
  readonly wanted?: readonly string[];
  /**
   * CSV and TSV: what separates cells. Default: what splits the first rows evenly, of comma,
   * semicolon, tab and `|`; where nothing does, `,` and tab.
   */
  readonly delimiter?: string;
  /** CSV and TSV: whether `"` quotes a cell. Default true. */
  readonly quotes?: boolean;
  /** CSV and TSV: columns that stay texts even where all cells are numbers. */
  readonly texts?: readonly string[];
  /** Read only the first rows. */
  readonly limit?: number;
  /** Longest cell allowed, in UTF-16 units. Default 1,000,000. */
  readonly maximumCellLength?: number;
}

/** Longest cell that is read by default, in UTF-16 units. */
export const DEFAULT_CELL_LENGTH = 1_000_000;

/**
 * Says that a file cannot be understood.
 * @returns the error for a file that cannot be understood.
 */
export function unreadable(
  path: string,
  what: string,
  options: { hint?: string; cause?: unknown } = {},
): PeftError {
  return new PeftError('PEFT_TABLE_UNREADABLE', `data: ${path}: ${what}`, options);
}

/**
 * Refuses a text of more than `limit` UTF-16 units.
 * @throws PEFT_CELL_TOO_LARGE naming the place.
 */
export function checkCellLength(cell: unknown, place: () => string, limit: number): void {
  if (typeof cell === 'string' && cell.length > limit) {
    throw new PeftError(
      'PEFT_CELL_TOO_LARGE',
      `data: ${place()} has ${cell.length} characters, more than ${limit}.`,
      {
        hint: 'Check the quotes around it, or raise maximumCellLength.',
      },
    );
  }
}
