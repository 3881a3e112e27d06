/** The shapes in which JSON files hold tables. */
import { show } from '@peft/errors';
import { unreadable } from './read-options.js';

type Fields = Readonly<Record<string, unknown>>;

/** What the rows of a wrapped table are called. */
const WRAPPERS = ['data', 'rows', 'records', 'examples'];

/** Rows of a parsed file, and keys beside them that nothing reads. */
export interface JsonRows {
  readonly rows: readonly unknown[];
  readonly unread: readonly string[];
}

/**
 * The rows that a JSON value holds: an array of objects; one under `data`, `rows`, `records` or
 * `examples`; pandas' `to_json` by columns (`{"text": {"0": …}}`, `{"text": […]}`), by index
 * (`{"0": {"text": …}}`) and `split` (`{"columns": […], "data": [[…]]}`); or a single object of texts,
 * numbers and the like, which is a row.
 *
 * @throws PEFT_TABLE_UNREADABLE for other shapes, and columns of unequal length.
 */
export function rowsOfJson(parsed: unknown, path: string): JsonRows {
  if (Array.isArray(parsed)) return { rows: parsed, unread: [] };
  if (isObject(parsed) && Object.keys(parsed).length > 0) {
    const { columns, data } = parsed;
    if (isTexts(columns) && isArrays(data)) {
      const unread = Object.keys(parsed).filter(
        (key) => !['columns', 'data', ...(isTexts(parsed['index']) ? [] : ['index'])].includes(key),
      );
      return { rows: splitRows(columns, data, path), unread };
    }
    const wrapper = WRAPPERS.find((key) => isArrayOf(parsed[key], isObject));
    if (wrapper !== undefined)
      return {
        rows: parsed[wrapper] as readonly unknown[],
        unread: Object.keys(parsed).filter((key) => key !== wrapper),
      };
    const rows = columnRows(parsed, path) ?? indexRows(parsed) ?? singleRow(parsed);
    if (rows) return { rows, unread: [] };
  }
  throw unreadable(path, 'a JSON table must be an array of objects.', {
    hint: 'Write [{"text": "…", "label": …}, …], or one object per line as .jsonl.',
  });
}

function splitRows(
  columns: readonly string[],
  data: readonly (readonly unknown[])[],
  path: string,
): readonly Fields[] {
  const odd = data.findIndex(({ length }) => length !== columns.length);
  if (odd >= 0)
    throw unreadable(
      path,
      `row ${odd} of "data" has ${data[odd]!.length} cells for ${columns.length} columns.`,
    );
  return data.map((cells) => Object.fromEntries(columns.map((name, i) => [name, cells[i]])));
}

/** Rows of columns, which are arrays of one length or objects of the same keys. */
function columnRows(columns: Fields, path: string): readonly Fields[] | undefined {
  const cells = Object.entries(columns).map(([name, values]) => {
    if (Array.isArray(values)) return { name, rows: '', values: values as readonly unknown[] };
    if (isNumbered(values))
      return { name, rows: Object.keys(values).join(), values: Object.values(values) };
    return undefined;
  });
  if (!cells.every((each) => each !== undefined)) return undefined;
  const [first] = cells;
  const other = cells.find(({ rows }) => rows !== '' && first!.rows !== '' && rows !== first!.rows);
  if (other)
    throw unreadable(
      path,
      `column ${show(other.name)} has other rows than column ${show(first!.name)}.`,
    );
  const odd = cells.find(({ values }) => values.length !== first!.values.length);
  if (odd)
    throw unreadable(
      path,
      `column ${show(odd.name)} has ${odd.values.length} cells, column ${show(first!.name)} has ${first!.values.length}.`,
    );
  return first!.values.map((_, i) =>
    Object.fromEntries(cells.map(({ name, values }) => [name, values[i]])),
  );
}

const indexRows = (rows: Fields): readonly unknown[] | undefined =>
  isNumbered(rows) && Object.values(rows).every(isObject) ? Object.values(rows) : undefined;

const singleRow = (row: Fields): readonly unknown[] | undefined =>
  Object.values(row).every((value) => typeof value !== 'object') ? [row] : undefined;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isArrayOf = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(isItem);

const isTexts = (value: unknown): value is readonly string[] =>
  isArrayOf(value, (item) => typeof item === 'string');

const isArrays = (value: unknown): value is readonly (readonly unknown[])[] =>
  isArrayOf(value, Array.isArray);

const isNumbered = (value: unknown): value is Fields =>
  isObject(value) &&
  Object.keys(value).length > 0 &&
  Object.keys(value).every((key) => /^\d+$/.test(key));
