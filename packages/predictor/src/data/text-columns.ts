/** Which columns of a table are the texts, and their tokens. */
import {
  inferColumnTypes,
  tokenizeTable,
  type ColumnType,
  type Table,
  type TextTokenizer,
  type TokenizedTable,
} from '@peft/data';
import { PeftError, show } from '@peft/errors';

export interface TextColumnOptions {
  /** Columns that are predicted. */
  readonly labels: readonly string[];
  /** The validation table, where it was given apart. */
  readonly validation?: Table;
  readonly columnTypes?: Readonly<Record<string, ColumnType>>;
  /** Takes exactly these. */
  readonly textColumns?: readonly string[];
}

export interface TextColumns {
  /** In the table's order. */
  readonly columns: readonly string[];
  /** Sentences about columns that are not used, or were taken for texts. */
  readonly warnings: readonly string[];
}

/**
 * The columns that are learnt from: those given, else those of type text. Where none is, columns of
 * words that are not separated by spaces (Japanese) or too short are taken.
 * @throws PEFT_TEXT_COLUMN_MISSING when the table has no column of texts; PEFT_COLUMN_MISSING
 */
export function chooseTextColumns(
  table: Table,
  { labels, validation, columnTypes = {}, textColumns }: TextColumnOptions,
): TextColumns {
  for (const label of labels) table.values(label);
  const both = textColumns?.find((column) => labels.includes(column));
  if (both !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${show(both)} is the label and cannot be a text column, too.`,
    );
  const given = {
    ...columnTypes,
    ...Object.fromEntries((textColumns ?? []).map((column) => [column, 'text' as const])),
  };
  const features = table.columns.filter((column) => !labels.includes(column));
  for (const column of Object.keys(given)) table.values(column);
  // where texts are named, others may hold anything: lists, too
  const looked = features.filter((column) => textColumns?.includes(column) ?? true);
  const types =
    looked.length === 0
      ? new Map<string, ColumnType>()
      : inferColumnTypes(table.pick(looked), {
          given: Object.fromEntries(
            Object.entries(given).filter(([column]) => looked.includes(column)),
          ),
          validation,
        });
  const isWanted = (column: string): boolean =>
    textColumns ? textColumns.includes(column) : types.get(column) === 'text';
  let columns = features.filter(isWanted);
  const warnings: string[] = [];
  if (columns.length === 0) {
    columns = features.filter(
      (column) =>
        !Object.hasOwn(given, column) &&
        types.get(column) === 'categorical' &&
        table.column(column).some((cell) => typeof cell === 'string'),
    );
    if (columns.length)
      warnings.push(
        `no column looks like sentences; ${list(columns)} ${columns.length > 1 ? 'are' : 'is'} taken for text.`,
      );
  }
  if (columns.length === 0) {
    throw new PeftError(
      'PEFT_TEXT_COLUMN_MISSING',
      `predictor: ${table.source} has no column of texts beside the label ${list(labels)} ` +
        `(columns: ${list(table.columns)}).`,
      {
        hint:
          "name it with columnTypes: { COLUMN: 'text' }, or give the names of the columns of a " +
          'file without a header',
      },
    );
  }
  const unused = features.filter(
    (column) => !columns.includes(column) && types.get(column) !== 'null',
  );
  if (unused.length && !textColumns)
    warnings.push(
      `only texts are learnt from: ${list(unused)} ${unused.length > 1 ? 'are' : 'is'} not used.`,
    );
  return { columns, warnings };
}

const list = (columns: readonly string[]): string =>
  `${columns.slice(0, 8).map(show).join(', ')}${columns.length > 8 ? ', …' : ''}`;

/** How texts become tokens. JSON-safe. */
export interface TextSettings {
  readonly columns: readonly string[];
  /** Longest row in tokens, special ones counted. */
  readonly maxLength: number;
  readonly segments: number;
}

/** AutoGluon's: up to two segments where the model has them. */
export function textSettings(
  columns: readonly string[],
  maxLength: number,
  config: Readonly<Record<string, unknown>>,
): TextSettings {
  const types = config['type_vocab_size'];
  return {
    columns,
    maxLength,
    segments: typeof types === 'number' ? Math.max(1, Math.min(2, types)) : 1,
  };
}

export function tokenizeRows(
  table: Table,
  { columns, ...settings }: TextSettings,
  tokenizer: TextTokenizer,
  signal?: AbortSignal,
): Promise<TokenizedTable> {
  return tokenizeTable(table, columns, tokenizer, { ...settings, signal });
}
