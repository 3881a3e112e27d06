/** Rows of preferences in a table, and what their tokens are made with. */
import { readTools, type ChatMessage, type Conversation, type Table } from '@peft/data';
import {
  readPreference,
  readUnpaired,
  unpaired,
  type AnswerOptions,
  type Content,
  type PreferenceRow,
  type UnpairedRow,
} from '@peft/preference';
import { show } from '@peft/errors';
import { warnOfTemplate } from '../causal/chat-warnings.js';
import type { ColumnRoles } from '../column-roles.js';
import { chatTemplateOf } from '../../model/chat-template.js';
import type { DataTools } from '../predictor-task.js';
import { textLength } from '../text-length.js';

const placeOf = (table: Table, row: number): string =>
  `row ${table.origin(row)} of ${table.source}`;

/** Cells of the roles that there are, row by row. */
function cellsOf(table: Table, columns: ColumnRoles): (role: string) => (row: number) => unknown {
  return (role) => {
    const column = columns[role];
    const values = column === undefined || !table.has(column) ? [] : table.values(column);
    return (row) => values[row];
  };
}

function toolsOf(table: Table, columns: ColumnRoles) {
  const tools = cellsOf(table, columns)('tools');
  return (row: number): readonly unknown[] | undefined =>
    readTools(tools(row), `the column ${show(columns['tools'])} of ${placeOf(table, row)}`);
}

const rowsOf = (table: Table): number[] => Array.from({ length: table.rows }, (_, row) => row);

/** @throws PEFT_DATA_INVALID, PEFT_PREFERENCE_PROMPT */
export function preferencesOf(table: Table, columns: ColumnRoles): PreferenceRow[] {
  const cells = cellsOf(table, columns);
  const [prompt, chosen, rejected] = [cells('prompt'), cells('chosen'), cells('rejected')];
  const tools = toolsOf(table, columns);
  return rowsOf(table).map((row) =>
    readPreference(
      {
        prompt: columns['prompt'] === undefined ? undefined : (prompt(row) ?? null),
        chosen: chosen(row),
        rejected: rejected(row),
        tools: tools(row),
      },
      placeOf(table, row),
    ),
  );
}

/**
 * Single answers with labels; each pair is two of them.
 * @throws PEFT_DATA_INVALID, PEFT_PREFERENCE_PROMPT, PEFT_PREFERENCE_LABELS
 */
export function unpairedOf(table: Table, columns: ColumnRoles): UnpairedRow[] {
  if (columns['chosen'] !== undefined) return unpaired(preferencesOf(table, columns));
  const cells = cellsOf(table, columns);
  const [prompt, completion, label] = [cells('prompt'), cells('completion'), cells('label')];
  const tools = toolsOf(table, columns);
  return rowsOf(table).map((row) =>
    readUnpaired(
      { prompt: prompt(row), completion: completion(row), label: label(row), tools: tools(row) },
      placeOf(table, row),
    ),
  );
}

/** Warns of what the chat template makes of rows whose prompts and answers are turns. */
export function warnOfTurns(
  rows: readonly (PreferenceRow | UnpairedRow)[],
  columns: ColumnRoles,
  tools: DataTools,
): void {
  const conversations = rows.flatMap((row): Conversation[] => {
    const { prompt, tools: callable } = row;
    const answers = 'chosen' in row ? [row.chosen, row.rejected] : [row.completion];
    return isTurns(prompt)
      ? answers.filter(isTurns).map((answer) => ({
          messages: [...prompt, ...answer],
          ...(callable && { tools: callable }),
        }))
      : [];
  });
  if (conversations.length > 0)
    warnOfTemplate(chatTemplateOf(tools), conversations, columns, tools);
}

const isTurns = (content: Content): content is readonly ChatMessage[] =>
  typeof content !== 'string';

/** How prompts and answers become tokens. */
export const answerOptions = (
  tools: DataTools,
  table: Table,
): AnswerOptions & { readonly nameOf: (row: number) => string } => ({
  tokenizer: tools.base.tokenizer,
  template: () => chatTemplateOf(tools),
  maxLength: textLength(tools),
  truncation: tools.settings['data.truncation'],
  signal: tools.signal,
  nameOf: (row) => String(table.origin(row)),
});
