/** From what a user gives as data to a table. */
import { readTable, tableFromRows, type ReadTableOptions, type Table } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { PredictorData, ReadOptions } from '../settings/predictor-types.js';

const asTable = (data: Exclude<PredictorData, string>): Table =>
  Array.isArray(data) ? tableFromRows(data as readonly object[]) : (data as Table);

/** @throws PEFT_DATA_INVALID for what is no path, table or list; what reading throws */
function checkData(data: unknown): void {
  const isTable =
    typeof data === 'object' && data !== null && typeof (data as Table).column === 'function';
  if (typeof data === 'string' || Array.isArray(data) || isTable) return;
  throw new PeftError(
    'PEFT_DATA_INVALID',
    `predictor: the data must be the path of a file, a table or a list of rows, got ${show(data)}.`,
    { hint: "for instance 'train.csv', or [{ label: 1, text: 'good' }]" },
  );
}

/** What the table to train on is read with. */
export interface TrainingRead extends ReadOptions {
  readonly textColumns?: readonly string[];
  /** Columns that are named, by which a header is known. */
  readonly wanted?: readonly string[];
}

/** The table to train on. */
export async function readTrainingData(
  data: PredictorData,
  { columns, header, delimiter, quotes, textColumns, wanted = [] }: TrainingRead,
): Promise<Table> {
  checkData(data);
  if (typeof data !== 'string') return asTable(data);
  return readTable(data, {
    columns,
    header,
    delimiter,
    quotes,
    texts: textColumns,
    wanted: [...new Set([...wanted, ...(textColumns ?? [])])],
  });
}

/** The columns that the predictor was trained with. */
export interface KnownColumns {
  readonly textColumns: readonly string[];
  /** Given for the training file, which had no header. */
  readonly fileColumns: readonly string[] | undefined;
}

/** A table of new rows. A file without a header of its own has the training file's columns. */
export async function readNewData(
  data: PredictorData,
  { textColumns, fileColumns }: KnownColumns,
  { columns, header, delimiter, quotes }: ReadOptions,
): Promise<Table> {
  checkData(data);
  if (typeof data !== 'string') return asTable(data);
  const options: ReadTableOptions = {
    texts: textColumns,
    wanted: textColumns,
    header,
    delimiter,
    quotes,
  };
  if (columns) return readTable(data, { ...options, columns });
  if (!fileColumns) return readTable(data, options);
  const head = await readTable(data, { ...options, limit: 50 });
  const hasHeader = textColumns.every((column) => head.has(column));
  return readTable(data, hasHeader ? options : { ...options, columns: fileColumns });
}
