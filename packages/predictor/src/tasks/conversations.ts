/** Rows that hold conversations, for causal language models. */
import {
  chatData,
  instructionConversation,
  readConversation,
  readTools,
  turnEndIds,
  turnEndText,
  type ChatMessage,
  type ChatTemplate,
  type Conversation,
  type Table,
} from '@peft/data';
import { PeftError, show } from '@peft/errors';
import { chatTemplateOf } from '../model/chat-template.js';
import type { CausalFormat } from './causal-format.js';
import { textsOf, type ColumnRoles } from './column-roles.js';
import type { DataTools } from './predictor-task.js';
import { withTaskIds } from '../data/task-ids.js';
import { tellRows } from '../data/tell-rows.js';
import { textLength } from './text-length.js';

/**
 * @param columns `messages` or ShareGPT's `conversations`, with `tools` and `system` where there are
 *   such; or Alpaca's `instruction`, `input`, `output`.
 */
export function conversations(columns: ColumnRoles): CausalFormat {
  const read = (table: Table): readonly Conversation[] => conversationsOf(table, columns);
  return {
    input: columns['messages'] ?? columns['conversations'] ?? columns['instruction']!,
    isChat: columns['instruction'] === undefined,
    check: (table) => void read(table),
    async examples(table, tools) {
      const template = chatTemplateOf(tools);
      warnOfTemplate(template, columns, tools);
      const data = await chatData(read(table), tools.base.tokenizer, template, {
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

const textIn = (cell: unknown): string =>
  cell === null || cell === undefined ? '' : String(cell as string);

/** Tells of what a template leaves out, and of a turn's end that is no token. */
function warnOfTemplate(
  template: ChatTemplate,
  columns: ColumnRoles,
  { base: { tokenizer }, warn }: DataTools,
): void {
  const tools = columns['tools'];
  if (tools !== undefined && !/\btools\b/.test(template.source))
    warn?.({
      code: 'PEFT_CHAT_TOOLS',
      message: `the chat template does not write tools, so that the column ${show(tools)} is not used.`,
      hint: 'use a model whose template knows tools, or name one: data.chat_template=chatml',
    });
  const marker = turnEndText(template, tokenizer);
  if (marker !== undefined)
    warn?.({
      code: 'PEFT_CHAT_TURN_END',
      message:
        `the tokenizer has no special token ${marker}, by which the chat template ends a ` +
        'turn: it is written in pieces and does not end generation.',
      hint: `add it to the tokenizer, or generate with stop strings (CLI: --stop "${marker}")`,
    });
}

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
