/** Rows that hold conversations, for causal language models. */
import {
  chatData,
  instructionConversation,
  readConversation,
  readTools,
  spellsConversation,
  turnEndIds,
  type ChatMessage,
  type Conversation,
  type Table,
} from '@peft/data';
import { PeftError, show } from '@peft/errors';
import { chatTemplateOf } from '../../model/chat-template.js';
import type { CausalFormat } from './causal-format.js';
import { warnOfTemplate } from './chat-warnings.js';
import { textsOf, type ColumnRoles } from '../column-roles.js';
import { withTaskIds } from '../../data/task-ids.js';
import { tellRows } from '../../data/tell-rows.js';
import { textLength } from '../text-length.js';

/**
 * @param columns `messages` or ShareGPT's `conversations`, with `tools` and `system` where there are
 *   such; Alpaca's `instruction`, `input`, `output`; or `prompt` and `completion`, both lists of
 *   turns, as TRL has them.
 */
export function conversations(columns: ColumnRoles): CausalFormat {
  const read = (table: Table): readonly Conversation[] => conversationsOf(table, columns);
  return {
    input:
      columns['messages'] ??
      columns['conversations'] ??
      columns['instruction'] ??
      columns['prompt']!,
    isChat: columns['instruction'] === undefined,
    check: (table) => void read(table),
    async examples(table, tools) {
      const template = chatTemplateOf(tools);
      const rows = read(table);
      warnOfTemplate(template, rows, columns, tools);
      const data = await chatData(rows, tools.base.tokenizer, template, {
        maxLength: textLength(tools),
        answers: tools.settings['data.chat_answers'],
        signal: tools.signal,
      }).catch(withSetting);
      tellRows(tools, table, data);
      return withTaskIds(data, table, tools);
    },
    prompts(table, tools) {
      const template = chatTemplateOf(tools);
      return read(table).map(({ messages, tools: callable }) =>
        tools.base.tokenizer.ids(
          template.render(untilAnswer(messages), {
            addGenerationPrompt: true,
            variables: callable ? { tools: callable } : {},
          }),
        ),
      );
    },
    endIds: (tools) => turnEndIds(chatTemplateOf(tools), tools.base.tokenizer),
    references: (table) =>
      read(table).map(({ messages }, row) => {
        const last = messages.at(-1);
        if (last?.role === 'assistant') return last.content ?? '';
        throw new PeftError(
          'PEFT_DATA_INVALID',
          `predictor: conversation ${table.origin(row)} of ${table.source} does not end with ` +
            'an answer of the assistant to compare with.',
          { hint: 'end each conversation with the wanted answer, or score by perplexity' },
        );
      }),
  };
}

/** The conversations of a table. @throws PEFT_DATA_INVALID naming row and turn */
export function conversationsOf(table: Table, columns: ColumnRoles): Conversation[] {
  const placed = (row: number): string => `row ${table.origin?.(row) ?? row} of ${table.source}`;
  const optional = (role: string): readonly unknown[] => {
    const column = columns[role];
    return column !== undefined && table.has(column) ? table.values(column) : [];
  };
  const [tools, systems] = [optional('tools'), optional('system')];
  const toolsOf = (row: number): readonly unknown[] | undefined =>
    readTools(tools[row], `the column ${show(columns['tools'])} of ${placed(row)}`);
  const instruction = columns['instruction'];
  if (instruction !== undefined) {
    const [inputs, outputs] = [optional('input'), optional('output')];
    return textsOf(table, instruction).map((text, row) => ({
      messages: instructionConversation({
        instruction: text,
        input: textIn(inputs[row]),
        output: outputs.length > 0 ? textIn(outputs[row]) : undefined,
        system: textIn(systems[row]),
      }),
    }));
  }
  const { prompt, completion } = columns;
  if (prompt !== undefined) return promptedTurns(table, prompt, completion, placed);
  const column = columns['messages'] ?? columns['conversations']!;
  return table.values(column).map((cell, row) => {
    const messages = readConversation(cell, `the column ${show(column)} of ${placed(row)}`);
    const system = textIn(systems[row]);
    return {
      messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages],
      tools: toolsOf(row),
    };
  });
}

/** Whether a column's cells are conversations, or texts that spell some. */
export const holdsTurns = (table: Table, column: string): boolean =>
  table
    .values(column)
    .every((cell) => Array.isArray(cell) || (typeof cell === 'string' && spellsConversation(cell)));

/** Prompts of turns, none of which is learnt, and the turns, or the answer, that follow. */
function promptedTurns(
  table: Table,
  prompt: string,
  completion: string | undefined,
  placed: (row: number) => string,
): Conversation[] {
  const answers =
    completion !== undefined && table.has(completion) ? table.values(completion) : undefined;
  const turnsOf = (cell: unknown, column: string, row: number): ChatMessage[] =>
    readConversation(cell, `the column ${show(column)} of ${placed(row)}`);
  return table.values(prompt).map((cell, row) => {
    const asked = turnsOf(cell, prompt, row).map((message) =>
      message.role === 'assistant' ? { ...message, weight: 0 as const } : message,
    );
    const answer = answers?.[row];
    if (answer === undefined) return { messages: asked };
    const isText = typeof answer === 'string' && !spellsConversation(answer);
    const given = isText
      ? [{ role: 'assistant', content: answer }]
      : turnsOf(answer, completion!, row);
    return { messages: [...asked, ...given] };
  });
}

const textIn = (cell: unknown): string =>
  cell === null || cell === undefined ? '' : String(cell as string);

/** How the way out that the error names is written as a setting. */
function withSetting(error: unknown): never {
  if (!(error instanceof PeftError) || error.code !== 'PEFT_CHAT_TURNS') throw error;
  throw new PeftError(error.code, error.message.split('\n')[0]!, {
    hint: 'train on the last answer of each conversation: data.chat_answers=last (CLI: --set data.chat_answers=last)',
    cause: error,
  });
}

/** Without the answer at the end, which the model is to generate. */
const untilAnswer = (messages: readonly ChatMessage[]): readonly ChatMessage[] =>
  messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
