/** Which column of a table plays which part in a task. */
import { parseList, type Table } from '@peft/data';
import { didYouMean, PeftError, show } from '@peft/errors';
import { bare, columnHint, isOptional } from './column-hint.js';
import type { TaskName } from './task-names.js';

/**
 * Columns by the task's own names for them, `{ prompt: 'instruction' }`; a column of the role's own
 * name needs no entry.
 */
export type ColumnRoles = Readonly<Record<string, string>>;

/** Sets of roles that a task can learn from; a role that ends in `?` may be missing. */
export const TASK_ROLES = Object.freeze({
  'token-classification': [['tokens', 'tags']],
  'causal-lm': [
    ['messages', 'tools?', 'system?'],
    ['conversations', 'tools?', 'system?'],
    ['prompt', 'completion'],
    ['instruction', 'output', 'input?', 'system?'],
    ['text'],
  ],
  seq2seq: [['source', 'target']],
  embeddings: [['anchor', 'positive', 'negative?']],
  ranking: [
    ['query', 'document', 'relevance'],
    ['query', 'positive', 'negative'],
  ],
  preference: [
    ['chosen', 'rejected', 'prompt?', 'tools?'],
    ['prompt', 'completion', 'label', 'tools?'],
  ],
  grpo: [['prompt']],
  reward: [['chosen', 'rejected', 'prompt?', 'tools?', 'margin?']],
} satisfies Partial<Record<TaskName, readonly (readonly string[])[]>>);
/** Tasks that read columns by their roles. */
export type RoledTask = keyof typeof TASK_ROLES;

/**
 * The first set of roles that the table has all columns of.
 * @throws PEFT_CONFIG_INVALID for a role that the task does not know, PEFT_COLUMN_MISSING when a
 *   named column is not there or no set is whole
 */
export function chooseColumns(task: RoledTask, table: Table, given: ColumnRoles): ColumnRoles {
  const sets: readonly (readonly string[])[] = TASK_ROLES[task];
  const known = [...new Set(sets.flat().map(bare))];
  for (const [role, column] of Object.entries(given)) {
    if (!known.includes(role))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `predictor: ${task} has no role ${show(role)} for a column.`,
        { hint: `${didYouMean(role, known)} Roles: ${known.join(', ')}.`.trim() },
      );
    table.values(column);
  }
  const columnOf = (role: string): string => given[role] ?? role;
  const wanted = sets.filter((set) =>
    Object.keys(given).every((role) => set.some((one) => bare(one) === role)),
  );
  const found = wanted.find((set) =>
    set.every((role) => isOptional(role) || table.has(columnOf(role))),
  );
  if (found)
    return Object.fromEntries(
      found
        .filter((role) => table.has(columnOf(bare(role))))
        .map((role) => [bare(role), columnOf(bare(role))]),
    );
  throw new PeftError(
    'PEFT_COLUMN_MISSING',
    `predictor: ${task} learns from the columns ` +
      `${sets.map((set) => set.map((role) => (isOptional(role) ? `${bare(role)} (optional)` : role)).join(', ')).join('; or ')}. ` +
      `${table.source} has ${table.columns.map(show).join(', ')}.`,
    { hint: columnHint(table, wanted.length > 0 ? wanted : sets) },
  );
}

/** Columns of a table that no role of the task reads. */
export const unreadColumns = (table: Table, columns: ColumnRoles): string[] => {
  const read = Object.values(columns);
  return table.columns.filter((column) => !read.includes(column));
};

/**
 * Texts of a column; numbers as they are written.
 * @throws PEFT_DATA_INVALID naming a row without a text
 */
export function textsOf(table: Table, column: string): string[] {
  return table.column(column).map((cell, row) => {
    if (cell === null)
      throw new PeftError(
        'PEFT_DATA_INVALID',
        `predictor: row ${table.origin?.(row) ?? row} of ${table.source} has no text in the column ${show(column)}.`,
        { hint: 'fill or remove such rows' },
      );
    return String(cell);
  });
}

/**
 * Lists in a column: as they are (JSON, Parquet), in a text as JSON, Python, NumPy or R write them,
 * or words separated by blanks. Numbers, such as tags by their ids, become texts.
 * @throws PEFT_DATA_INVALID
 */
export function listsOf(table: Table, column: string): string[][] {
  return table.values(column).map((cell, row) => {
    const list = listIn(cell);
    if (list && list.length > 0) return list;
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `predictor: row ${table.origin?.(row) ?? row} of ${table.source} must have a list of ` +
        `words in the column ${show(column)}, got ${show(cell)}.`,
      { hint: 'for instance ["Ada","lives","in","London"], or words separated by blanks' },
    );
  });
}

/** undefined for what is no list of texts and numbers. */
function listIn(cell: unknown): string[] | undefined {
  if (typeof cell === 'string')
    return parseList(cell) === undefined
      ? cell.split(/\s+/).filter(Boolean)
      : (parseList(cell) ?? undefined);
  if (typeof cell === 'number') return [String(cell)];
  const items: unknown = ArrayBuffer.isView(cell) ? Array.from(cell as Int32Array) : cell;
  if (!Array.isArray(items)) return undefined;
  return items.every((item) => ['string', 'number', 'bigint', 'boolean'].includes(typeof item))
    ? items.map(String)
    : undefined;
}
