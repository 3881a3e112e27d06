/** Reads JSON Lines and JSON files of objects. */
import { readFile } from 'node:fs/promises';
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { readLines } from './read-text.js';
import { tableFromRows, type Table } from './table.js';

/**
 * One JSON object per line; empty lines are skipped.
 * @throws PEFT_TABLE_UNREADABLE naming the line, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY.
 */
export async function readJsonLines(
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

/**
 * A JSON array of objects.
 * @throws PEFT_TABLE_UNREADABLE, PEFT_CELL_TOO_LARGE, PEFT_TABLE_EMPTY.
 */
export async function readJson(
  path: string,
  { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  const parsed = parseJson((await readFile(path, 'utf8')).replace(/^\ufeff/, ''), path, 'the file');
  if (!Array.isArray(parsed))
    throw unreadable(path, 'a JSON table must be an array of objects.', {
      hint: 'Write [{"text": "…", "label": …}, …], or one object per line as .jsonl.',
    });
  const rows = parsed
    .slice(0, Math.min(limit, parsed.length))
    .map((row, i) => checkedRow(row, path, `row ${i}`, maximumCellLength));
  return tableFromRows(rows, path);
}

function parseJson(text: string, path: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreadable(path, `${place} is not JSON (${(cause as Error).message}).`, { cause });
  }
}

function checkedRow(row: unknown, path: string, place: string, maximumCellLength: number): object {
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw unreadable(path, `${place} is not an object.`);
  for (const [name, value] of Object.entries(row))
    checkCellLength(
      value,
      () => `column ${JSON.stringify(name)} of ${place} of ${path}`,
      maximumCellLength,
    );
  return row;
}
