/** A table as the page shows it. */
import { basename } from 'node:path';
import { inferColumnTypes, readTable, type ReadTableOptions, type Table } from '@peft/data';
import type { TablePreview } from '../api-types.js';
import { guessTask, isPlain } from './guess-task.js';

const SHOWN_ROWS = 6;
const SHOWN_CHARACTERS = 400;

export type TableReading = Pick<ReadTableOptions, 'columns' | 'header' | 'delimiter' | 'quotes'>;

/** @throws what reading tables throws */
export async function previewTable(path: string, reading: TableReading): Promise<TablePreview> {
  const table = await readTable(path, reading);
  const plain = table.columns.filter((column) => isPlain(table, column));
  const types = plain.length === 0 ? undefined : inferColumnTypes(table.pick(plain));
  return {
    path,
    name: basename(path),
    rows: table.rows,
    columns: table.columns.map((name) => ({
      name,
      type: types?.get(name) ?? 'lists',
      distinct: new Set(table.values(name)).size,
    })),
    head: Array.from({ length: Math.min(SHOWN_ROWS, table.rows) }, (_, row) =>
      table.columns.map((column) => shown(table, column, row)),
    ),
    guess: guessTask(table),
    warnings: table.warnings,
  };
}

function shown(table: Table, column: string, row: number): string {
  const cell = table.values(column)[row];
  if (cell === null || cell === undefined) return '';
  const text = typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)} …` : text;
}
