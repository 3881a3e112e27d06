/**
 * Causal language modelling: texts that are continued, prompts with completions, or conversations.
 */
import { completionData, plainTextData, tableFromRows } from '@peft/data';
import { PeftError } from '@peft/errors';
import { causalLanguageModel } from '@peft/trainer';
import { textsOf, type ColumnRoles } from '../column-roles.js';
import type { CausalFormat } from './causal-format.js';
import { conversations } from './conversations.js';
import type { PredictorTask } from '../predictor-task.js';
import { taskIdsOf, withTaskIds } from '../../data/task-ids.js';
import { tellRows } from '../../data/tell-rows.js';
import { textLength } from '../text-length.js';
import { isTextMetric, languageMetric, languageScorer, writeTexts } from '../write-texts.js';

/**
 * @param columns by role: a conversation (`messages`, `conversations`, or `instruction` and `output`),
 *   or `prompt` and `completion`, or `text`.
 * @param areTurns whether `prompt` and `completion` are turns of a conversation.
 */
export function causalTask(columns: ColumnRoles, areTurns = false): PredictorTask {
  const format = formatOf(columns, areTurns);
  const task = causalLanguageModel();
  return Object.freeze<PredictorTask>({
    name: 'causal-lm',
    record: { name: 'causal-lm', columns, ...(areTurns ? { areTurns } : {}) },
    columns: Object.values(columns),
    inputs: [format.input],
    head: () => ({ kind: 'causal-lm' }),
    loss: () => task,
    examples: (table, tools) => format.examples(table, tools),
    metric: languageMetric,
    writesFor: isTextMetric,
    checkRows(table, metrics) {
      format.check(table);
      const wanted = metrics.find(isTextMetric);
      if (wanted && !format.references)
        throw new PeftError(
          'PEFT_METRIC_INPUT_INVALID',
          `predictor: ${wanted.name} compares generated texts with wanted ones, plain texts have none.`,
          { hint: 'use perplexity, or rows of prompt and completion' },
        );
      if (wanted) format.references!(table);
    },
    async scorer(table, metrics, tools, writing) {
      const isWritten = metrics.some(isTextMetric);
      return languageScorer(
        {
          task,
          data: await format.examples(table, tools),
          prompts: isWritten ? format.prompts(table, tools) : [],
          references: isWritten ? format.references!(table) : [],
          endIds: isWritten ? format.endIds?.(tools) : [],
          taskIds: taskIdsOf(table, tools.taskIdColumn),
        },
        metrics,
        tools,
        writing,
      );
    },
    predict: (table, tools, writing) =>
      writeTexts(format.prompts(table, tools), tools, writing, {
        endIds: format.endIds?.(tools),
        taskIds: taskIdsOf(table, tools.taskIdColumn),
      }),
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({
          [format.input]: format.isChat ? [{ role: 'user', content: text }] : text,
        })),
        'texts',
      ),
  });
}

/** Roles of which each holds, or begins, a conversation. */
const CONVERSATIONS = ['messages', 'conversations', 'instruction'];

function formatOf(columns: ColumnRoles, areTurns: boolean): CausalFormat {
  if (areTurns || CONVERSATIONS.some((role) => columns[role] !== undefined))
    return conversations(columns);
  if (columns['prompt'] !== undefined && columns['completion'] !== undefined)
    return completions(columns['prompt'], columns['completion']);
  return plainTexts(columns['text']!);
}

const plainTexts = (column: string): CausalFormat => ({
  input: column,
  isChat: false,
  check: (table) => void textsOf(table, column),
  async examples(table, tools) {
    const data = await plainTextData(textsOf(table, column), tools.base.tokenizer, {
      maxLength: textLength(tools),
      taskIds: taskIdsOf(table, tools.taskIdColumn),
      signal: tools.signal,
    });
    tellRows(tools, table, data);
    return data;
  },
  prompts: (table) => textsOf(table, column),
});

const completions = (prompt: string, completion: string): CausalFormat => ({
  input: prompt,
  isChat: false,
  check: (table) => void [prompt, completion].map((column) => textsOf(table, column)),
  async examples(table, tools) {
    const wanted = textsOf(table, completion);
    const data = await completionData(
      textsOf(table, prompt).map((text, row) => ({ prompt: text, completion: wanted[row]! })),
      tools.base.tokenizer,
      { maxLength: textLength(tools), signal: tools.signal },
    );
    tellRows(tools, table, data);
    return withTaskIds(data, table, tools);
  },
  prompts: (table) => textsOf(table, prompt),
  references: (table) => textsOf(table, completion),
});
