/** Reads the tables that a command line names. */
import { readTable, type Table } from '@peft/data';

export interface InputOptions {
  /** Names for the columns of a file without a header. */
  readonly columns?: readonly string[];
  readonly header?: boolean;
  readonly label?: string;
  /** Only these columns (and the label) are looked at. */
  readonly text?: readonly string[];
  readonly sample?: number;
  readonly seed?: number;
}

/** @throws PEFT_TABLE_…, PEFT_COLUMN_MISSING with the nearest names */
export async function readInput(path: string, options: InputOptions): Promise<Table> {
  const { columns, header, label, text } = options;
  const table = await readTable(path, { ...(columns && { columns }), ...(header !== undefined && { header }), ...(text && { texts: text }) });
  const wanted = text ? table.pick([...(label !== undefined && (table.has(label) || !columns) ? [label] : []), ...text]) : table;
  return options.sample === undefined ? wanted : wanted.sample(options.sample, options.seed ?? 0);
}

/** `--columns label,text` or `--columns label text`. */
export const names = (words: readonly string[] | undefined): string[] | undefined => (words === undefined || words.length === 0 ? undefined : words.flatMap((word) => word.split(',')).map((word) => word.trim()).filter(Boolean));
