/** Tells whoever reads data of rows that are left out, cut or empty. */
import type { Table } from '@peft/data';
import { originsOf } from './row-report.js';
import type { DataTools } from '../tasks/predictor-task.js';
import { modelLength, textLength } from '../tasks/text-length.js';

/** Rows by their numbers in the table that was tokenised. */
interface ReadRows {
  readonly skipped?: readonly number[];
  readonly cut?: readonly number[];
  readonly empty?: readonly number[];
  readonly marked?: readonly number[];
  readonly blank?: readonly number[];
}

/** @param further settings beside `model.hf_text.max_text_len` that bound a row. */
export function tellRows(
  tools: DataTools,
  table: Table,
  { skipped, cut, empty, marked, blank }: ReadRows,
  further: readonly string[] = [],
): void {
  const limit = textLength(tools);
  tools.tell?.({
    source: table.source,
    rows: table.rows,
    skipped: originsOf(table, skipped),
    cut: originsOf(table, cut),
    empty: originsOf(table, empty),
    marked: originsOf(table, marked),
    blank: originsOf(table, blank),
    limit,
    settings: [...(limit < modelLength(tools) ? ['model.hf_text.max_text_len'] : []), ...further],
  });
}
