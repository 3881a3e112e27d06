/** Reads a table from a file. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname } from 'node:path';
import { check, didYouMean, PeftError, show } from '@peft/errors';
import { refuseForeign } from './foreign-files.js';
import { readDelimited } from './delimited/read-delimited.js';
import { readJson, readJsonLines } from './read-json.js';
import type { ReadTableOptions, TableFormat } from './read-options.js';
import { readParquet } from './read-parquet.js';
import { readPlainText, readTaggedWords } from './read-plain-text.js';
import type { Table } from './table.js';

const FORMATS: Readonly<Record<string, TableFormat>> = {
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.parquet': 'parquet',
  '.pq': 'parquet',
  '.txt': 'text',
  '.conll': 'conll',
};
const SPREADSHEETS = new Set(['.xlsx', '.xlsm', '.xlsb', '.xls', '.ods', '.numbers']);
/** Of the files that are read as tables; all but Parquet's also with `.gz` behind. */
export const TABLE_ENDINGS: readonly string[] = Object.freeze(Object.keys(FORMATS));

/** The format that the ending of a path stands for. */
const formatOf = (path: string): TableFormat | undefined => FORMATS[endingOf(path)];

const endingOf = (path: string): string => extname(path.replace(/\.gz$/i, '')).toLowerCase();

/** Whether the path ends as a table's does that `readTable` reads. */
export const isTablePath = (path: string): boolean => formatOf(path) !== undefined;

const OPTIONS = [
  'format',
  'header',
  'columns',
  'wanted',
  'delimiter',
  'quotes',
  'texts',
  'limit',
  'maximumCellLength',
];

/**
 * Reads a CSV, TSV, JSON Lines, JSON, Parquet, plain text or CoNLL file, all but Parquet also packed
 * by gzip. CSV, TSV and JSON Lines are read as streams, so that only the cells are held in memory.
 *
 * @throws PEFT_FILE_MISSING, PEFT_TABLE_FORMAT_UNKNOWN, PEFT_TABLE_EMPTY, PEFT_TABLE_ROW_RAGGED,
 *   PEFT_TABLE_UNREADABLE, PEFT_CELL_TOO_LARGE, PEFT_COLUMN_DUPLICATE, PEFT_CONFIG_INVALID,
 *   PEFT_CONFIG_UNKNOWN_KEY
 */
export async function readTable(path: string, options: ReadTableOptions = {}): Promise<Table> {
  check.knownKeys('data', options, OPTIONS);
  if (options.limit !== undefined) check.positiveInteger('data', 'limit', options.limit);
  if (options.maximumCellLength !== undefined)
    check.positiveInteger('data', 'maximumCellLength', options.maximumCellLength);
  if (!existsSync(path) || !statSync(path).isFile()) throw missing(path);
  if (options.delimiter !== undefined) check.string('data', 'delimiter', options.delimiter);
  const format = options.format ?? formatOf(path);
  if (format !== undefined) await refuseForeign(path, format);
  switch (format) {
    case 'csv':
      return readDelimited(path, ',', options);
    case 'tsv':
      return readDelimited(path, '\t', options);
    case 'jsonl':
      return readJsonLines(path, options);
    case 'json':
      return readJson(path, options);
    case 'parquet':
      return readParquet(path, options);
    case 'text':
      return readPlainText(path, options);
    case 'conll':
      return readTaggedWords(path, options);
    default:
      if (SPREADSHEETS.has(endingOf(path)))
        throw new PeftError(
          'PEFT_TABLE_FORMAT_UNKNOWN',
          `data: ${path} is a spreadsheet, which is not read.`,
          { hint: 'Save the sheet as CSV (UTF-8) and give that file.' },
        );
      throw new PeftError(
        'PEFT_TABLE_FORMAT_UNKNOWN',
        `data: ${path} does not end in a known format (${TABLE_ENDINGS.join(', ')};` +
          ` all but Parquet also packed, .gz)` +
          `${options.format === undefined ? '' : `, and format is ${show(options.format)}`}.`,
        {
          hint: 'Save it in one of these formats, or rename it if it is one.',
        },
      );
  }
}

function missing(path: string): PeftError {
  const folder = dirname(path);
  const near =
    existsSync(folder) && statSync(folder).isDirectory()
      ? didYouMean(basename(path), readdirSync(folder))
      : `There is no folder ${folder} either.`;
  return new PeftError(
    'PEFT_FILE_MISSING',
    `data: there is no file ${path}.`,
    near ? { hint: near } : {},
  );
}
