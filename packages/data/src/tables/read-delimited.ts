/** Reads CSV and TSV files. */
import { Readable } from 'node:stream';
import { PeftError, show } from '@peft/errors';
import { CsvError, parse } from 'csv-parse';
import { looksLikeHeader } from './detect-header.js';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { readText } from './read-text.js';
import { tableFromColumns, type Table } from './table.js';
import { typeCells } from './type-cells.js';

interface Record {
  readonly record: string[];
  readonly info: { readonly lines: number };
}

/**
 * Quotes as in RFC 4180, also a lone quote inside an unquoted cell; empty lines are skipped; `\n`,
 * `\r\n` or `\r` end a line.
 *
 * @throws PEFT_TABLE_ROW_RAGGED for a line with other than the usual number of cells,
 *   PEFT_TABLE_UNREADABLE for an open quote, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY,
 *   PEFT_COLUMN_DUPLICATE, PEFT_CONFIG_INVALID for options that do not fit the file.
 */
export async function readDelimited(
  path: string,
  delimiter: string,
  options: ReadTableOptions,
): Promise<Table> {
  const { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH } = options;
  const columns: string[][] = [];
  let first: string[] | undefined;
  for await (const { record, info } of records(path, delimiter, options)) {
    record.forEach((cell, i) =>
      checkCellLength(cell, () => `cell ${i} of line ${info.lines} of ${path}`, maximumCellLength),
    );
    if (!first) {
      first = record;
      record.forEach(() => columns.push([]));
      continue;
    }
    if (record.length !== first.length) {
      throw new PeftError(
        'PEFT_TABLE_ROW_RAGGED',
        `data: line ${info.lines} of ${path} has ${record.length} cells, the first line has ${first.length}.`,
        {
          hint: `Put cells that contain ${delimiter === '\t' ? 'a tab' : show(delimiter)} or a line break in double quotes${options.quotes === false ? '' : ', or read with quotes: false if they are plain text'}.`,
        },
      );
    }
    record.forEach((cell, i) => columns[i]!.push(cell));
    if (columns[0]!.length >= limit) break;
  }
  if (!first)
    throw new PeftError('PEFT_TABLE_EMPTY', `data: ${path} is empty.`, {
      hint: 'Give a table with at least one row of data.',
    });

  const header = hasHeader(first, columns, options);
  if (!header) columns.forEach((cells, i) => cells.unshift(first[i]!));
  const names =
    options.columns ??
    (header ? first.map((name, i) => name.trim() || String(i)) : first.map((_, i) => String(i)));
  if (names.length !== first.length) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `data: ${names.length} column names (${names.join(', ')}) for ${path}, which has ${first.length} columns.`,
    );
  }
  const typed = new Map<string, readonly unknown[]>();
  names.forEach((name, i) => {
    if (typed.has(name))
      throw new PeftError('PEFT_COLUMN_DUPLICATE', `data: ${path} has two columns ${show(name)}.`, {
        hint: 'Give each column a name of its own.',
      });
    const cells = columns[i]!.slice(0, Math.min(limit, columns[i]!.length));
    typed.set(
      name,
      options.texts?.includes(name)
        ? cells.map((cell) => (cell === '' ? null : cell))
        : typeCells(cells),
    );
  });
  return tableFromColumns(typed, path);
}

function hasHeader(
  first: readonly string[],
  columns: readonly string[][],
  { header = 'auto', columns: names }: ReadTableOptions,
): boolean {
  if (header !== 'auto') return header;
  if (names)
    return first.length === names.length && first.every((cell, i) => cell.trim() === names[i]);
  return looksLikeHeader(first, columns);
}

async function* records(
  path: string,
  delimiter: string,
  { quotes = true, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): AsyncGenerator<Record> {
  const parser = parse({
    delimiter,
    quote: quotes ? '"' : null,
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: 64 * maximumCellLength,
    info: true,
  });
  const source = Readable.from(readText(path));
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const each of parser) yield each as Record;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    if (error.code === 'CSV_MAX_RECORD_SIZE') {
      throw new PeftError(
        'PEFT_CELL_TOO_LARGE',
        `data: a record near line ${String(error.lines)} of ${path} is larger than ${64 * maximumCellLength} characters.`,
        {
          hint: 'Check the quotes there, or raise maximumCellLength.',
          cause: error,
        },
      );
    }
    const quote = error.code === 'CSV_QUOTE_NOT_CLOSED';
    throw unreadable(
      path,
      quote ? 'a double quote at the start of a cell is never closed.' : error.message,
      {
        hint: quote ? 'Close it, or read with quotes: false if quotes are plain text.' : undefined,
        cause: error,
      },
    );
  } finally {
    source.destroy();
    parser.destroy();
  }
}
