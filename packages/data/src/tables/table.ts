/**
 * A table in memory: named columns of equal length. Immutable; selections share nothing but the
 * cells.
 */
import { didYouMean, PeftError, show } from '@peft/errors';
import { sampleRows } from '../sampling/permutation.js';

/** Something about a file that its reader should know of. */
export interface TableWarning {
  /** `PEFT_NOUN_PROBLEM`. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** null is a missing value. */
export type Cell = string | number | boolean | null;

/** Named columns of equal length, held in memory and never changed. */
export interface Table {
  /** Where it came from, for messages: a path, or `rows`. */
  readonly source: string;
  readonly columns: readonly string[];
  /** Number of rows, at least 1. */
  readonly rows: number;
  /** What went against expectation when the file was read; of selections none. */
  readonly warnings: readonly TableWarning[];
  has(column: string): boolean;
  /** The cells of a column `[rows]`. @throws PEFT_COLUMN_MISSING, PEFT_COLUMN_NESTED */
  column(name: string): readonly Cell[];
  /**
   * As `column`, also where cells are lists or objects (JSON and Parquet).
   * @throws PEFT_COLUMN_MISSING
   */
  values(name: string): readonly unknown[];
  /** The number of a row in the table that was read, from 0, also after selections. */
  origin(row: number): number;
  /** One row as an object. */
  row(index: number): Record<string, unknown>;
  /** The given rows in the given order; a row may repeat. */
  select(rows: ArrayLike<number>): Table;
  /** The first `count` rows, or all. */
  head(count?: number): Table;
  /** `count` rows drawn without replacement, in random order. @throws PEFT_SAMPLE_TOO_LARGE */
  sample(count: number, seed: number): Table;
  /** Only the given columns. @throws PEFT_COLUMN_MISSING */
  pick(columns: readonly string[]): Table;
}

/** What a reader adds to a table. */
export interface TableNotes {
  readonly warnings?: readonly TableWarning[];
  /** Said to those who ask for a column that is not there. */
  readonly missingHint?: string;
  /** Of each row its number in the table that was read. Default: its own. */
  readonly origins?: readonly number[];
}

/**
 * A table of named columns.
 * @param columns name → cells, all of the same length.
 * @throws PEFT_TABLE_EMPTY without a row or column, PEFT_TABLE_INVALID for unequal lengths.
 */
export function tableFromColumns(
  columns: ReadonlyMap<string, readonly unknown[]>,
  source = 'rows',
  { warnings = [], missingHint = '', origins }: TableNotes = {},
): Table {
  const names = [...columns.keys()];
  const rows = columns.get(names[0]!)?.length ?? 0;
  if (rows === 0)
    throw new PeftError('PEFT_TABLE_EMPTY', `data: ${source} has no rows.`, {
      hint: 'Give a table with at least one row of data.',
    });
  for (const [name, cells] of columns) {
    if (cells.length !== rows)
      throw new PeftError(
        'PEFT_TABLE_INVALID',
        `data: column ${show(name)} of ${source} has ${cells.length} cells, column ${show(names[0])} has ${rows}.`,
      );
  }
  const values = (name: string): readonly unknown[] => {
    const cells = columns.get(name);
    if (cells) return cells;
    throw new PeftError('PEFT_COLUMN_MISSING', `data: ${source} has no column ${show(name)}.`, {
      hint: `${didYouMean(name, names)} Columns: ${names.join(', ')}. ${missingHint}`.trim(),
    });
  };
  const table: Table = {
    source,
    columns: names,
    rows,
    warnings,
    has: (column) => columns.has(column),
    values,
    column(name) {
      const cells = values(name);
      const nested = cells.findIndex((cell) => !isCell(cell));
      if (nested >= 0) {
        throw new PeftError(
          'PEFT_COLUMN_NESTED',
          `data: row ${nested} of column ${show(name)} of ${source} is ${show(cells[nested])},` +
            ' not a text, number or boolean.',
        );
      }
      return cells as readonly Cell[];
    },
    origin: (row) => origins?.[row] ?? row,
    row: (index) => Object.fromEntries(names.map((name) => [name, columns.get(name)![index]])),
    select(chosen) {
      for (let i = 0; i < chosen.length; i += 1) {
        const row = chosen[i]!;
        if (!Number.isInteger(row) || row < 0 || row >= rows)
          throw new PeftError(
            'PEFT_ROW_MISSING',
            `data: ${source} has ${rows} rows, row ${row} was asked for.`,
          );
      }
      return tableFromColumns(
        new Map(
          [...columns].map(([name, cells]) => [name, Array.from(chosen, (row) => cells[row])]),
        ),
        source,
        { missingHint, origins: Array.from(chosen, (row) => table.origin(row)) },
      );
    },
    head: (count = 5) =>
      count >= rows ? table : table.select(Array.from({ length: Math.max(0, count) }, (_, i) => i)),
    sample: (count, seed) => table.select(sampleRows(rows, count, [seed, 'sample'])),
    pick: (chosen) =>
      tableFromColumns(new Map(chosen.map((name) => [name, values(name)])), source, {
        missingHint,
        origins,
      }),
  };
  return Object.freeze(table);
}

/**
 * A table of objects; columns are the union of their keys in order of appearance, a key that an
 * object lacks is null there.
 * @throws PEFT_TABLE_EMPTY without rows, PEFT_TABLE_INVALID if one is not an object.
 */
export function tableFromRows(
  rows: readonly object[],
  source = 'rows',
  warnings: readonly TableWarning[] = [],
): Table {
  const columns = new Map<string, unknown[]>();
  rows.forEach((row, i) => {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw new PeftError(
        'PEFT_TABLE_INVALID',
        `data: row ${i} of ${source} must be an object of columns, got ${show(row)}.`,
      );
    }
    for (const [name, value] of Object.entries(row)) {
      let cells = columns.get(name);
      if (!cells) columns.set(name, (cells = new Array<unknown>(rows.length).fill(null)));
      cells[i] = plainValue(value);
    }
  });
  return tableFromColumns(columns, source, { warnings });
}

/**
 * undefined and NaN count as missing, whole BigInts become numbers where these hold them exactly,
 * dates ISO texts.
 */
export function plainValue(value: unknown): unknown {
  if (value === undefined || (typeof value === 'number' && Number.isNaN(value))) return null;
  if (typeof value === 'bigint')
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  return value;
}

function isCell(value: unknown): value is Cell {
  return (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
  );
}
