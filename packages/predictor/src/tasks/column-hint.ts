/** What to do about columns that a task needs and a table lacks. */
import type { Table } from '@peft/data';
import { show } from '@peft/errors';

/** A role that may be missing ends in `?`. */
export const isOptional = (role: string): boolean => role.endsWith('?');
/** The name of a role without its mark. */
export const bare = (role: string): string => (isOptional(role) ? role.slice(0, -1) : role);

/**
 * The columns that are probably meant, or how columns are named.
 * @param sets roles of which a task needs one set.
 */
export function columnHint(table: Table, sets: readonly (readonly string[])[]): string {
  const spans = sets.some((set) => set.includes('tags')) ? spanColumn(table) : undefined;
  if (spans !== undefined)
    return (
      `the column ${show(spans)} says where entities begin and end in a text; write each row's ` +
      'words and one tag for each, {"tokens": ["Anna", "left"], "tags": ["B-PER", "O"]}'
    );
  const likely = likelyColumns(table, sets);
  if (likely) {
    const pairs = likely.map(([role, column]) => `${role}: ${show(column)}`).join(', ');
    const words = likely.map(([role, column]) => quoted(`${role}=${column}`)).join(' ');
    return `perhaps these are meant: columnRoles: { ${pairs} } (CLI: --map ${words})`;
  }
  const missing = sets[0]!.map(bare);
  return (
    'rename the columns, or say which they are with columnRoles: { ' +
    `${missing.map((role) => `${role}: '…'`).join(', ')} } (CLI: --map ` +
    `${missing.map((role) => `${role}=COLUMN`).join(' ')})`
  );
}

/** As one word of a command line. */
const quoted = (text: string): string => (/^[\w=.-]+$/.test(text) ? text : `'${text}'`);

/** What data sets call the roles. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  messages: ['conversation', 'chat', 'dialogue', 'dialog'],
  prompt: ['question', 'query', 'input', 'instruction', 'user'],
  completion: ['answer', 'response', 'output', 'reply', 'assistant', 'chosen'],
  instruction: ['instructions'],
  output: ['response', 'answer', 'completion'],
  input: ['context'],
  source: ['input', 'document', 'article', 'dialogue', 'text', 'question', 'src'],
  target: ['output', 'summary', 'highlights', 'translation', 'answer', 'tgt'],
  tokens: ['words', 'sentence'],
  tags: ['ner_tags', 'pos_tags', 'labels', 'label'],
  anchor: ['query', 'question', 'sentence1', 'premise'],
  positive: ['answer', 'passage', 'sentence2', 'document', 'pos'],
  negative: ['neg', 'hard_negative'],
  query: ['question'],
  document: ['passage', 'text', 'answer'],
  relevance: ['score', 'label'],
  chosen: ['preferred', 'better', 'winner', 'response_chosen'],
  rejected: ['dispreferred', 'worse', 'loser', 'response_rejected'],
};

/** The set of roles of which the table has most columns, all needed ones, perhaps under other names. */
function likelyColumns(
  table: Table,
  sets: readonly (readonly string[])[],
): [role: string, column: string][] | undefined {
  const columnOf = (role: string): string | undefined =>
    [role, ...(OTHER_NAMES[role] ?? [])].flatMap(
      (name) => table.columns.find((column) => column.trim().toLowerCase() === name) ?? [],
    )[0];
  return sets
    .filter((set) => set.length > 1 && set.filter((role) => !isOptional(role)).every(columnOf))
    .map((set) =>
      set.flatMap((role): [string, string][] => {
        const column = columnOf(bare(role));
        return column === undefined ? [] : [[bare(role), column]];
      }),
    )
    .filter((roles) => new Set(roles.map(([, column]) => column)).size === roles.length)
    .sort((a, b) => b.length - a.length)[0];
}

/** The column of a table whose cells hold places in a text, `[0, 4, "PER"]` or `{ start, end }`. */
function spanColumn(table: Table): string | undefined {
  const isSpan = (item: unknown): boolean =>
    Array.isArray(item)
      ? typeof item[0] === 'number' && typeof item[1] === 'number'
      : typeof item === 'object' && item !== null && 'start' in item && 'end' in item;
  return table.columns.find((column) => {
    const cells = table.values(column).filter((cell) => Array.isArray(cell) && cell.length > 0);
    return cells.length > 0 && cells.every((cell) => (cell as unknown[]).every(isSpan));
  });
}
