/** Prompts of new rows, and how the model reads them. */
import type { Table } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { Prompt } from '@peft/generation';
import { promptTokens, readContent, type Content } from '@peft/preference';
import { chatTemplateOf } from '../../model/chat-template.js';
import type { DataTools } from '../predictor-task.js';

/** @throws PEFT_COLUMN_MISSING, PEFT_DATA_INVALID */
export function promptsOf(table: Table, column: string): Content[] {
  if (!table.has(column))
    throw new PeftError(
      'PEFT_COLUMN_MISSING',
      `predictor: ${table.source} has no column ${show(column)} to answer.`,
      { hint: 'new rows need the prompt alone' },
    );
  return table
    .values(column)
    .map((cell, row) => readContent(cell, `the prompt of row ${table.origin(row)}`));
}

/** What the model goes on from. */
export const writtenPrompt = (prompt: Content, tools: Pick<DataTools, 'base'>): Prompt =>
  promptTokens(prompt, {
    tokenizer: tools.base.tokenizer,
    template: () => chatTemplateOf(tools),
  });
