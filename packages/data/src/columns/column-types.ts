/** Finds what kind of feature each column is, by AutoGluon's rules. */
import { check } from '@peft/errors';
import { sampleRows } from '../sampling/permutation.js';
import type { Table } from '../tables/table.js';

/** `null` columns say nothing and are left out. */
export type ColumnType = 'text' | 'categorical' | 'numerical' | 'null';

/** What `inferColumnTypes` is told about a table beforehand. */
export interface ColumnTypeOptions {
  /**
   * The validation table, if it was given apart; a value of it that is not in `table` speaks
   * against `categorical`.
   */
  readonly validation?: Table;
  /** The label column, for which up to 100 instead of 20 values count as categorical. */
  readonly label?: string;
  /** Known types by column; they are taken as they are. */
  readonly given?: Readonly<Record<string, ColumnType>>;
}

const TYPES: readonly ColumnType[] = ['text', 'categorical', 'numerical', 'null'];
const TEXT_SAMPLE = 5000;

/**
 * In this order: `null` if all cells are missing or equal; `categorical` if fewer than
 * min(⌊0.1·rows⌋, 20) distinct values (100 for the label); `numerical` if all cells are numbers or
 * booleans or spell numbers; `text` if more than 1 % of the values are distinct and those have 3
 * words or more on average; else `categorical`. Words are separated by white space, so Chinese or
 * Japanese texts are not recognised: give their type.
 *
 * @returns column → type, in the table's order.
 * @throws PEFT_COLUMN_MISSING if `given` or `label` names an unknown column, PEFT_COLUMN_NESTED for
 *   lists and objects.
 */
export function inferColumnTypes(
  table: Table,
  { validation, label, given = {} }: ColumnTypeOptions = {},
): Map<string, ColumnType> {
  for (const [name, type] of Object.entries(given)) {
    table.values(name);
    check.oneOf('data', `column type of ${name}`, type, TYPES);
  }
  if (label !== undefined) table.values(label);
  return new Map(
    table.columns.map((name) => [
      name,
      Object.hasOwn(given, name)
        ? given[name]!
        : inferType(table, name, name === label, validation),
    ]),
  );
}

function inferType(
  table: Table,
  name: string,
  isLabel: boolean,
  validation: Table | undefined,
): ColumnType {
  const cells = table.column(name);
  const distinct = new Set(cells);
  if (distinct.size === 1) return 'null';
  const threshold = Math.min(Math.floor(cells.length * 0.1), isLabel ? 100 : 20);
  const other = validation?.has(name) ? validation.column(name) : [];
  if (distinct.size < threshold && other.every((cell) => distinct.has(cell))) return 'categorical';
  if (
    [...cells, ...other].every(
      (cell) => typeof cell !== 'string' || (cell.trim() !== '' && Number.isFinite(Number(cell))),
    )
  )
    return 'numerical';
  return isText(cells) ? 'text' : 'categorical';
}

function isText(cells: readonly unknown[]): boolean {
  const sample =
    cells.length > TEXT_SAMPLE
      ? Array.from(sampleRows(cells.length, TEXT_SAMPLE, 0), (row) => cells[row])
      : cells;
  const distinct = new Set(sample);
  if (distinct.size / sample.length <= 0.01) return false;
  const texts = [...distinct].filter((cell): cell is string => typeof cell === 'string');
  const words = texts.reduce((sum, text) => sum + (text.match(/\S+/g)?.length ?? 0), 0);
  return texts.length > 0 && words / texts.length >= 3;
}
