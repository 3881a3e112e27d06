/** What became of a table's rows when they turned into tokens, and the warning that tells of it. */
import type { Table } from '@peft/data';

/** Rows by their numbers in the table that was given. */
export interface RowReport {
  readonly source: string;
  readonly rows: number;
  /** Left out: nothing of them can be learnt from or scored. */
  readonly skipped: readonly number[];
  /** Lost tokens beyond the limit; those of `skipped` included. */
  readonly cut: readonly number[];
  /** Have no text at all, but a label. */
  readonly empty: readonly number[];
  /** Brought begin or end tokens along, which were not added again. */
  readonly marked: readonly number[];
  /** Have an answer of white space alone. */
  readonly blank: readonly number[];
  /** Tokens of a row at most. */
  readonly limit: number;
  /** Settings that raise the limit; none where the model bears no more. */
  readonly settings: readonly string[];
}

/** A warning without the fields that every event has. */
export interface RowWarning {
  readonly type: 'run/warned';
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

const SHOWN = 5;

/**
 * The one warning of a table.
 * @returns undefined where every row is used whole
 */
export function rowWarning(report: RowReport, what: string): RowWarning | undefined {
  const { source, rows, skipped, cut, empty, marked, blank, limit, settings } = report;
  const cutOff = new Set(cut);
  const isSkipped = new Set(skipped);
  const lost = skipped.filter((row) => cutOff.has(row));
  const bare = skipped.filter((row) => !cutOff.has(row));
  const shortened = cut.filter((row) => !isSkipped.has(row));
  const parts = [
    lost.length &&
      `${lost.length} of ${rows} rows are left out, what counts in them lies beyond ${limit} tokens ${first(lost)}`,
    bare.length &&
      `${bare.length} of ${rows} rows are left out, they have nothing to learn from ${first(bare)}`,
    shortened.length &&
      `${shortened.length} of ${rows} rows lose what is beyond ${limit} tokens ${first(shortened)}`,
    empty.length && `${empty.length} of ${rows} rows have no text ${first(empty)}`,
    marked.length &&
      `${marked.length} of ${rows} rows have begin or end tokens in their texts, which are ` +
        `not added again ${first(marked)}`,
    blank.length &&
      `${blank.length} of ${rows} rows have an empty answer, which is learnt ${first(blank)}`,
  ].filter((part) => part !== 0);
  if (parts.length === 0) return undefined;
  const raise = settings.map((name) => `raise ${name} (CLI: --set ${name}=N)`).join(' or ');
  const isCut = lost.length + shortened.length > 0;
  return {
    type: 'run/warned',
    code: isSkipped.size > 0 ? 'PEFT_ROWS_SKIPPED' : 'PEFT_ROWS_CHANGED',
    message: `${what} ${source}: ${parts.join('; ')}.`,
    hint: isCut ? raise || 'the model takes no more tokens: split longer texts' : undefined,
  };
}

/** `(rows 3, 7, 9, …)`, counted from 0. */
function first(rows: readonly number[]): string {
  const shown = rows.slice(0, SHOWN).join(', ');
  return `(row${rows.length === 1 ? '' : 's'} ${shown}${rows.length > SHOWN ? ', …' : ''})`;
}

/** The numbers of rows in the table that was read, before any selection. */
export const originsOf = (table: Table, rows: readonly number[] = []): number[] =>
  rows.map((row) => table.origin?.(row) ?? row);
