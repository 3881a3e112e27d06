/** Reads JSON Lines and JSON files of objects. */
import { show } from '@peft/errors';
import { rowsOfJson } from './json-shapes.js';
import { parseJson } from './parse-json.js';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { headOf, readLines, wholeText } from './read-text.js';
import { tableFromRows, type Table, type TableWarning } from './table.js';

/** Of the file's start, in UTF-16 units, for what kind of JSON it is. */
const LOOKED_AT = 65_536;

/**
 * One JSON object per line; empty lines are skipped. A file that begins with `[` is read as one JSON
 * value.
 * @throws PEFT_TABLE_UNREADABLE naming the line, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY.
 */
export async function readJsonLines(path: string, options: ReadTableOptions): Promise<Table> {
  const head = await headOf(path, LOOKED_AT);
  return head.trimStart().startsWith('[') && !hasLists(head)
    ? readJsonValue(path, options)
    : readEachLine(path, options);
}

/**
 * A JSON value that holds a table, as {@link rowsOfJson} knows them; a file whose first line is an
 * object of its own and not its last is read as JSON Lines.
 * @throws PEFT_TABLE_UNREADABLE, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY.
 */
export async function readJson(path: string, options: ReadTableOptions): Promise<Table> {
  return hasLines(await headOf(path, LOOKED_AT))
    ? readEachLine(path, options)
    : readJsonValue(path, options);
}

/** Whether a first line that ends with its object is followed by another one. */
const hasLines = (head: string): boolean => /^\s*\{[^\r\n]*\}[ \t]*[\r\n]+\s*\{/.test(head);

/** Whether a first line that ends with its list is followed by another one. */
const hasLists = (head: string): boolean => /^\s*\[[^\r\n]*\][ \t]*[\r\n]+\s*\[/.test(head);

async function readEachLine(
  path: string,
  { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  const rows: object[] = [];
  for await (const { line, number } of readLines(path, maximumCellLength)) {
    if (rows.length >= limit) break;
    if (line.trim() === '') continue;
    rows.push(
      checkedRow(
        parseJson(line, path, `line ${number}`),
        path,
        `line ${number}`,
        maximumCellLength,
      ),
    );
  }
  return tableFromRows(rows, path);
}

async function readJsonValue(
  path: string,
  { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  const { rows, unread } = rowsOfJson(parseJson(await wholeText(path), path, 'the file'), path);
  const checked = rows
    .slice(0, Math.min(limit, rows.length))
    .map((row, i) => checkedRow(row, path, `row ${i}`, maximumCellLength));
  return tableFromRows(checked, path, unreadWarning(unread, path));
}

function unreadWarning(keys: readonly string[], path: string): readonly TableWarning[] {
  if (keys.length === 0) return [];
  return [
    {
      code: 'PEFT_COLUMN_UNUSED',
      message: `${path}: ${keys.map(show).join(', ')} beside the rows ${keys.length > 1 ? 'are' : 'is'} not read.`,
    },
  ];
}

function checkedRow(row: unknown, path: string, place: string, maximumCellLength: number): object {
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw unreadable(
      path,
      `${place} is not an object, got ${show(row)}.`,
      Array.isArray(row)
        ? { hint: 'Name the lists: {"messages": […]} or {"text": …} in each row.' }
        : {},
    );
  for (const [name, value] of Object.entries(row))
    checkCellLength(
      value,
      () => `column ${JSON.stringify(name)} of ${place} of ${path}`,
      maximumCellLength,
    );
  return row;
}
