/** Reads CSV and TSV files. */
import { Readable } from 'node:stream';
import { PeftError, show } from '@peft/errors';
import { CsvError, parse } from 'csv-parse';
import { duplicateColumn, headerNames, type ColumnNames } from './column-names.js';
import { looksLikeHeader } from './detect-header.js';
import { findDelimiting, type Delimiting } from './find-delimiter.js';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from '../read-options.js';
import { readText } from '../read-text.js';
import { swallowedLines, type LineRange } from './swallowed-lines.js';
import { tableFromColumns, type Table, type TableWarning } from '../table.js';
import { typeCells } from './type-cells.js';

interface Record {
  readonly record: string[];
  readonly info: { readonly lines: number };
}

/**
 * Quotes as in RFC 4180, also a lone quote inside an unquoted cell; empty lines are skipped; `\n`,
 * `\r\n` and `\r` end a line, wherever they stand. One empty cell more or less at the end of a row
 * (a trailing delimiter) is no matter. A blank after each delimiter belongs to no cell, a first line
 * `sep=;` names the delimiter, and a header that comes again (in files that were joined) is no row,
 * which is warned of.
 *
 * @param usual what separates cells by the ending of the file's name.
 * @throws PEFT_TABLE_ROW_RAGGED for a line with other than the usual number of cells,
 *   PEFT_TABLE_UNREADABLE for an open quote, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY,
 *   PEFT_COLUMN_DUPLICATE, PEFT_CONFIG_INVALID for options that do not fit the file.
 */
export async function readDelimited(
  path: string,
  usual: string,
  options: ReadTableOptions,
): Promise<Table> {
  const { quotes = true, columns: given } = options;
  const hints = { usual, quotes, columns: given?.length };
  const delimiting = await findDelimiting(path, hints, options.delimiter);
  const { delimiter } = delimiting;
  const read = await readCells(path, delimiting, options);
  const { first, swallowed, repeats } = read;
  const header = hasHeader(first, read.columns, options);
  const columns = header
    ? withoutRepeats(read.columns, repeats)
    : read.columns.map((cells, i) => [first[i]!, ...cells]);
  const { names, renamed } = namesOf(first, header, path, options);
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  const typed = new Map<string, readonly unknown[]>();
  names.forEach((name, i) => {
    if (typed.has(name)) throw duplicateColumn(name, path);
    const cells = columns[i]!.slice(0, Math.min(limit, columns[i]!.length));
    typed.set(
      name,
      options.texts?.includes(name)
        ? cells.map((cell) => (cell === '' ? null : cell))
        : typeCells(cells, delimiter),
    );
  });
  return tableFromColumns(typed, path, {
    warnings: [
      ...swallowedWarning(swallowed, path),
      ...renamedWarning(renamed, path),
      ...(header ? repeatsWarning(repeats, path) : []),
    ],
    missingHint:
      header || given
        ? ''
        : 'The first line was read as data; if it names the columns, give header: true (CLI: --header).',
  });
}

interface Cells {
  readonly first: readonly string[];
  /** Cells of each column below the first line. */
  readonly columns: string[][];
  readonly swallowed: readonly LineRange[];
  readonly repeats: readonly Repeat[];
}

/** Where the first line comes again, as in files that were joined. */
interface Repeat {
  /** Below the first line, from 0. */
  readonly row: number;
  readonly line: number;
}

async function readCells(
  path: string,
  delimiting: Delimiting,
  options: ReadTableOptions,
): Promise<Cells> {
  const { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH } = options;
  const columns: string[][] = [];
  const swallowed: LineRange[] = [];
  const repeats: Repeat[] = [];
  const { delimiter } = delimiting;
  let first: string[] | undefined;
  for await (const { record, info } of records(path, delimiting, options)) {
    record.forEach((cell, i) =>
      checkCellLength(cell, () => `cell ${i} of line ${info.lines} of ${path}`, maximumCellLength),
    );
    const lines = swallowedLines(record, info.lines, delimiter, (first ?? record).length);
    if (lines) swallowed.push(lines);
    if (!first) {
      first = record;
      record.forEach(() => columns.push([]));
      continue;
    }
    const cells = withoutTrailing(record, first);
    if (cells.length !== first.length)
      throw ragged(path, info.lines, record.length, first.length, delimiter, options);
    if (cells.every((cell, i) => cell === first![i]))
      repeats.push({ row: columns[0]!.length, line: info.lines });
    cells.forEach((cell, i) => columns[i]!.push(cell));
    if (columns[0]!.length >= limit) break;
  }
  if (!first)
    throw new PeftError('PEFT_TABLE_EMPTY', `data: ${path} is empty.`, {
      hint: 'Give a table with at least one row of data.',
    });
  return { first, columns, swallowed, repeats };
}

/** The row with the header's number of cells, if only an empty cell at the end is too many or few. */
function withoutTrailing(record: readonly string[], first: readonly string[]): readonly string[] {
  if (record.length === first.length + 1 && record.at(-1)!.trim() === '')
    return record.slice(0, -1);
  if (record.length === first.length - 1 && first.at(-1)!.trim() === '') return [...record, ''];
  return record;
}

function ragged(
  path: string,
  line: number,
  cells: number,
  expected: number,
  delimiter: string,
  { quotes }: ReadTableOptions,
): PeftError {
  const shown = delimiter === '\t' ? 'a tab' : show(delimiter);
  const plain =
    quotes === false
      ? ''
      : ', or read with quotes: false (CLI: --no-quotes) if they are plain text';
  return new PeftError(
    'PEFT_TABLE_ROW_RAGGED',
    `data: line ${line} of ${path} has ${cells} cells, the first line has ${expected}.`,
    {
      hint:
        `Put cells that contain ${shown} or a line break in double quotes${plain}.` +
        ` Cells are separated by ${shown}; delimiter (CLI: --delimiter) names another.`,
    },
  );
}

function namesOf(
  first: readonly string[],
  header: boolean,
  path: string,
  { columns: given, wanted }: ReadTableOptions,
): ColumnNames {
  if (given === undefined)
    return header
      ? headerNames(first, wanted, path)
      : { names: first.map((_, i) => String(i)), renamed: [] };
  if (given.length === first.length) return { names: given, renamed: [] };
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `data: ${given.length} column names (${given.join(', ')}) for ${path}, which has ${first.length} columns.`,
  );
}

function swallowedWarning(ranges: readonly LineRange[], path: string): TableWarning[] {
  if (ranges.length === 0) return [];
  const lines = ranges.slice(0, 5).map(({ first, last }) => `${first}–${last}`);
  return [
    {
      code: 'PEFT_TABLE_QUOTES',
      message:
        `${path}: a double quote at the start of a cell has drawn whole lines into one cell, in lines` +
        ` ${lines.join(', ')}${ranges.length > lines.length ? ', …' : ''}.`,
      hint: 'if quotes are plain text there, read with quotes: false (CLI: --no-quotes)',
    },
  ];
}

function renamedWarning(renamed: readonly string[], path: string): TableWarning[] {
  if (renamed.length === 0) return [];
  return [
    {
      code: 'PEFT_COLUMN_DUPLICATE',
      message: `${path}: names of columns come twice; the later ones are called ${renamed.map(show).join(', ')}.`,
    },
  ];
}

function hasHeader(
  first: readonly string[],
  columns: readonly string[][],
  { header = 'auto', columns: names, wanted }: ReadTableOptions,
): boolean {
  if (header !== 'auto') return header;
  const cells = new Set(first.map((cell) => cell.trim()));
  if (!names && wanted?.length && wanted.every((name) => cells.has(name))) return true;
  if (names)
    return first.length === names.length && first.every((cell, i) => cell.trim() === names[i]);
  return looksLikeHeader(first, columns);
}

function withoutRepeats(
  columns: readonly string[][],
  repeats: readonly Repeat[],
): readonly string[][] {
  if (repeats.length === 0) return columns;
  const left = new Set(repeats.map(({ row }) => row));
  return columns.map((cells) => cells.filter((_, row) => !left.has(row)));
}

function repeatsWarning(repeats: readonly Repeat[], path: string): TableWarning[] {
  if (repeats.length === 0) return [];
  const lines = repeats.slice(0, 5).map(({ line }) => line);
  return [
    {
      code: 'PEFT_TABLE_HEADER',
      message:
        `${path}: the header comes again ${repeats.length > 1 ? `${repeats.length} times, in lines` : 'in line'}` +
        ` ${lines.join(', ')}${repeats.length > lines.length ? ', …' : ''}; these are no rows.`,
    },
  ];
}

async function* records(
  path: string,
  { delimiter, isNamedByFirstLine, hasBlanks }: Delimiting,
  { quotes = true, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): AsyncGenerator<Record> {
  const parser = parse({
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    quote: quotes ? '"' : null,
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
    ltrim: hasBlanks,
    from_line: isNamedByFirstLine ? 2 : 1,
    max_record_size: 64 * maximumCellLength,
    info: true,
  });
  const source = Readable.from(readText(path));
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  let readLines = 0;
  try {
    for await (const each of parser) {
      readLines = (each as Record).info.lines;
      yield each as Record;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    if (error.code === 'CSV_MAX_RECORD_SIZE') {
      throw new PeftError(
        'PEFT_CELL_TOO_LARGE',
        `data: a record near line ${String(error.lines)} of ${path} is larger than` +
          ` ${64 * maximumCellLength} characters.`,
        {
          hint: 'Check the quotes there, or raise maximumCellLength.',
          cause: error,
        },
      );
    }
    if (error.code !== 'CSV_QUOTE_NOT_CLOSED')
      throw unreadable(path, error.message, { cause: error });
    throw unreadable(
      path,
      `a double quote at the start of a cell (line ${readLines + 1}) is never closed.`,
      {
        hint: 'Close it, or read with quotes: false (CLI: --no-quotes) if quotes are plain text.',
        cause: error,
      },
    );
  } finally {
    source.destroy();
    parser.destroy();
  }
}
