/**
 * Causal language modelling: texts that are written on, prompts with completions, or conversations.
 */
import {
  chatData,
  completionData,
  loadChatTemplate,
  plainTextData,
  tableFromRows,
  type ChatMessage,
  type Table,
  type TokenData,
  type TokenLoss,
} from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { Prompt } from '@peft/generation';
import { causalLanguageModel, type Task } from '@peft/trainer';
import { textsOf, type ColumnRoles } from './column-roles.js';
import type { DataTools, PredictorTask } from './predictor-task.js';
import { textLength } from './text-length.js';
import { isTextMetric, languageMetric, languageScorer, writeTexts } from './write-texts.js';

/** One way in which rows hold what is to be learnt. */
interface CausalFormat {
  /** Column of new rows. */
  readonly input: string;
  /** @throws PEFT_DATA_INVALID */
  check(table: Table): void;
  examples(table: Table, tools: DataTools): Promise<TokenData>;
  /** What the model writes on. */
  prompts(table: Table, tools: DataTools): readonly Prompt[];
  /** What it should write; missing where there is no such thing. */
  references?(table: Table): readonly string[];
}

/** @param columns by role: `messages`, or `prompt` and `completion`, or `text`. */
export function causalTask(columns: ColumnRoles): PredictorTask {
  const format = formatOf(columns);
  const task = causalLanguageModel() as unknown as Task<never, TokenLoss>;
  return Object.freeze<PredictorTask>({
    name: 'causal-lm',
    record: { name: 'causal-lm', columns },
    columns: Object.values(columns),
    inputs: [format.input],
    head: () => ({ kind: 'causal-lm' }),
    loss: () => task,
    examples: async (table, tools) => (await format.examples(table, tools)) as never,
    metric: languageMetric,
    checkRows(table, metrics) {
      format.check(table);
      const wanted = metrics.find(isTextMetric);
      if (wanted && !format.references)
        throw new PeftError(
          'PEFT_METRIC_INPUT_INVALID',
          `predictor: ${wanted.name} compares written texts with wanted ones, plain texts have none.`,
          { hint: 'use perplexity, or rows of prompt and completion' },
        );
      if (wanted) format.references!(table);
    },
    async scorer(table, metrics, tools, writing) {
      const isWritten = metrics.some(isTextMetric);
      return languageScorer(
        {
          task,
          data: (await format.examples(table, tools)) as never,
          prompts: isWritten ? format.prompts(table, tools) : [],
          references: isWritten ? format.references!(table) : [],
        },
        metrics,
        tools,
        writing,
      );
    },
    predict: (table, tools, writing) => writeTexts(format.prompts(table, tools), tools, writing),
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({
          [format.input]: columns['messages'] ? [{ role: 'user', content: text }] : text,
        })),
        'texts',
      ),
  });
}

function formatOf(columns: ColumnRoles): CausalFormat {
  if (columns['messages'] !== undefined) return conversations(columns['messages']);
  if (columns['prompt'] !== undefined && columns['completion'] !== undefined)
    return completions(columns['prompt'], columns['completion']);
  return plainTexts(columns['text']!);
}

const plainTexts = (column: string): CausalFormat => ({
  input: column,
  check: (table) => void textsOf(table, column),
  examples: (table, tools) =>
    plainTextData(textsOf(table, column), tools.base.tokenizer, {
      maxLength: textLength(tools),
      ...signalOf(tools),
    }),
  prompts: (table) => textsOf(table, column),
});

const completions = (prompt: string, completion: string): CausalFormat => ({
  input: prompt,
  check: (table) => void [prompt, completion].map((column) => textsOf(table, column)),
  examples(table, tools) {
    const wanted = textsOf(table, completion);
    return completionData(
      textsOf(table, prompt).map((text, row) => ({ prompt: text, completion: wanted[row]! })),
      tools.base.tokenizer,
      { maxLength: textLength(tools), ...signalOf(tools) },
    );
  },
  prompts: (table) => textsOf(table, prompt),
  references: (table) => textsOf(table, completion),
});

const conversations = (column: string): CausalFormat => ({
  input: column,
  check: (table) => void conversationsOf(table, column),
  examples: (table, tools) =>
    chatData(conversationsOf(table, column), tools.base.tokenizer, templateOf(tools), {
      maxLength: textLength(tools),
      answers: tools.settings['data.chat_answers'],
      ...signalOf(tools),
    }).catch(withSetting),
  prompts(table, tools) {
    const template = templateOf(tools);
    return conversationsOf(table, column).map((messages) =>
      tools.base.tokenizer.ids(
        template.render(untilAnswer(messages), { addGenerationPrompt: true }),
      ),
    );
  },
  references: (table) =>
    conversationsOf(table, column).map((messages, row) => {
      const last = messages.at(-1);
      if (last?.role === 'assistant') return last.content;
      throw new PeftError(
        'PEFT_DATA_INVALID',
        `predictor: conversation ${row} of ${table.source} does not end with an answer of the assistant to compare with.`,
        { hint: 'end each conversation with the wanted answer, or score by perplexity' },
      );
    }),
});

/** How the way out that the error names is written as a setting. */
function withSetting(error: unknown): never {
  if (!(error instanceof PeftError) || error.code !== 'PEFT_CHAT_TURNS') throw error;
  throw new PeftError(error.code, error.message.split('\n')[0]!, {
    hint: 'train on the last answer of each conversation: data.chat_answers=last (CLI: --set data.chat_answers=last)',
    cause: error,
  });
}

const signalOf = ({ signal }: DataTools) => ({ ...(signal && { signal }) });
const templateOf = ({ base: { filesFolder, tokenizer } }: DataTools) =>
  loadChatTemplate(filesFolder, tokenizer);
/** Without the answer at the end, which the model is to write. */
const untilAnswer = (messages: readonly ChatMessage[]): readonly ChatMessage[] =>
  messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;

/** @throws PEFT_DATA_INVALID for what is no conversation */
export function conversationsOf(table: Table, column: string): ChatMessage[][] {
  return table.values(column).map((cell, row) => {
    const list = typeof cell === 'string' ? parsed(cell) : cell;
    const isMessage = (item: unknown): boolean =>
      typeof item === 'object' &&
      item !== null &&
      typeof (item as ChatMessage).role === 'string' &&
      typeof (item as ChatMessage).content === 'string';
    if (Array.isArray(list) && list.length > 0 && list.every(isMessage))
      return list as ChatMessage[];
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `predictor: row ${row} of ${table.source} must have a conversation in the column ${show(column)}, got ${show(cell)}.`,
      { hint: 'a list of {"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}' },
    );
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
