/**
 * Rows with any number of labels: lists in one column, texts with a separator between the labels, or
 * a column of 0 and 1 for each label.
 */
import { PeftError, show } from '@peft/errors';
import type { Table } from '../tables/table.js';
import { fitLabelEncoder } from './label-encoder.js';
import { parseList } from './parse-list.js';

/** Where the labels of a row stand. JSON-safe. */
export type LabelSetColumns =
  /** One column of lists, or of texts with a separator between the labels. */
  | { readonly column: string; readonly separator?: string | null }
  /** A column of 0 and 1 per label, whose name is the label's. */
  | { readonly columns: readonly string[] };

const placeOf = (table: Table, row: number, column: string): string =>
  `row ${table.origin(row)} of ${table.source}, column ${show(column)}`;

/**
 * The labels of each row, as texts in their order, each once.
 * @throws PEFT_LABEL_MISSING_VALUES, PEFT_LABEL_LIST for what is no list, PEFT_LABEL_INDICATOR for
 *   what is neither 0 nor 1, PEFT_COLUMN_MISSING
 */
export function readLabelSets(table: Table, where: LabelSetColumns): string[][] {
  if ('columns' in where) return indicatorSets(table, where.columns);
  const { column, separator } = where;
  return table.values(column).map((cell, row) => {
    const labels =
      separator === undefined || separator === null ? listOf(cell) : partsOf(cell, separator);
    if (labels) return [...new Set(labels)];
    if (cell === null)
      throw new PeftError(
        'PEFT_LABEL_MISSING_VALUES',
        `data: ${placeOf(table, row, column)} has no list of labels.`,
        { hint: 'write [] for a row without labels, or remove rows whose labels are not known' },
      );
    throw new PeftError(
      'PEFT_LABEL_LIST',
      `data: ${placeOf(table, row, column)} must be a list of labels, got ${show(cell)}.`,
      {
        hint:
          'for instance ["news","sports"]; say what stands between the labels of a text such as ' +
          'news|sports with data.label_separator',
      },
    );
  });
}

/** Whether a column's cells are lists, or texts that spell some: `["a", "b"]`. */
export function holdsLabelLists(table: Table, column: string): boolean {
  const cells = table.values(column).filter((cell) => cell !== null);
  return cells.length > 0 && cells.every((cell) => listOf(cell) !== undefined);
}

/** What may stand between labels in a text. */
const SEPARATORS = ['|', ';', ','];

/**
 * The separator that seems to stand between labels: the parts that it makes are fewer than the texts
 * as they are, or one of them is a text by itself elsewhere.
 */
export function separatorInLabels(table: Table, column: string): string | undefined {
  const cells = table.values(column).filter((cell) => typeof cell === 'string');
  const whole = new Set(cells);
  return SEPARATORS.find((separator) => {
    const joined = cells.filter((cell) => cell.includes(separator));
    if (joined.length * 5 < cells.length || joined.length < 2) return false;
    const parts = new Set(cells.flatMap((cell) => partsOf(cell, separator)!));
    return (
      parts.size < whole.size ||
      joined.some((cell) => partsOf(cell, separator)!.some((part) => whole.has(part)))
    );
  });
}

function listOf(cell: unknown): string[] | undefined {
  if (typeof cell === 'string') return parseList(cell) ?? undefined;
  const items: unknown = ArrayBuffer.isView(cell) ? Array.from(cell as Int32Array) : cell;
  if (!Array.isArray(items)) return undefined;
  const areLabels = items.every((item) =>
    ['string', 'number', 'bigint', 'boolean'].includes(typeof item),
  );
  return areLabels ? items.map(String) : undefined;
}

/** An empty cell is a row without labels: a text has no other way to say so. */
function partsOf(cell: unknown, separator: string): string[] | undefined {
  if (cell === null) return [];
  if (typeof cell !== 'string' && typeof cell !== 'number' && typeof cell !== 'boolean')
    return undefined;
  return String(cell)
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function indicatorSets(table: Table, columns: readonly string[]): string[][] {
  const cells = columns.map((column) => table.column(column));
  return Array.from({ length: table.rows }, (_, row) =>
    columns.filter((column, c) => {
      const cell = cells[c]![row]!;
      if (cell === null)
        throw new PeftError(
          'PEFT_LABEL_MISSING_VALUES',
          `data: ${placeOf(table, row, column)} is empty.`,
          { hint: 'write 0 where a row does not have the label, or remove the row' },
        );
      if (![0, 1, true, false, '0', '1'].includes(cell))
        throw new PeftError(
          'PEFT_LABEL_INDICATOR',
          `data: ${placeOf(table, row, column)} must be 0 or 1, got ${show(cell)}.`,
          { hint: 'columns of labels say of each row whether it has the label' },
        );
      return Number(cell) === 1;
    }),
  );
}

/** Labels by their numbers, and rows as indicators of them. */
export interface LabelSetEncoder {
  /** In scikit-learn's order, or that of the columns. JSON-safe. */
  readonly classes: readonly string[];
  /** 1 where a row has the label `[rows, C]`. @throws PEFT_LABEL_UNKNOWN */
  encode(rows: readonly (readonly string[])[]): Float32Array;
}

/**
 * The labels that occur in some rows; those of columns are the columns' names.
 * @throws PEFT_LABEL_ONE_CLASS when fewer than two occur
 */
export function fitLabelSets(
  rows: readonly (readonly string[])[],
  where: LabelSetColumns,
): LabelSetEncoder {
  if ('columns' in where) return restoreLabelSets(where.columns);
  return restoreLabelSets(fitLabelEncoder(rows.flat()).classes as readonly string[]);
}

/** The encoder of labels that were saved. */
export function restoreLabelSets(classes: readonly string[]): LabelSetEncoder {
  const ids = new Map(classes.map((label, id) => [label, id]));
  return Object.freeze<LabelSetEncoder>({
    classes: Object.freeze([...classes]),
    encode(rows) {
      const indicators = new Float32Array(rows.length * classes.length);
      rows.forEach((labels, row) => {
        for (const label of labels) {
          const id = ids.get(label);
          if (id === undefined)
            throw new PeftError(
              'PEFT_LABEL_UNKNOWN',
              `data: row ${row} has the label ${show(label)}, which the training data did not have.`,
              {
                hint: `Known labels: ${classes.slice(0, 20).map(show).join(', ')}${classes.length > 20 ? ', …' : ''}.`,
              },
            );
          indicators[row * classes.length + id] = 1;
        }
      });
      return indicators;
    },
  });
}
