/** Rows of texts in some columns, as a model reads them. */
import { encodePairs, pairTable, tableFromRows, type Table, type TokenizedTable } from '@peft/data';
import { PeftError } from '@peft/errors';
import { predict, tableData, type Task } from '@peft/trainer';
import { runSizes } from '../fit/run-plan.js';
import type { DataTools, TaskTools } from '../tasks/predictor-task.js';
import { textLength } from '../tasks/text-length.js';
import { tellRows } from './tell-rows.js';
import { taskIdsOf } from './task-ids.js';
import { textSettings, tokenizeRows } from './text-columns.js';

/** What tasks of whole rows share. */
export interface TextRows {
  /** Tokens of each row; rows that are cut or empty are told. */
  tokens(table: Table, tools: DataTools): Promise<TokenizedTable>;
  /** What a task predicts of each row. */
  run<P>(table: Table, task: Task<never, P>, tools: TaskTools): Promise<readonly P[]>;
  /** @throws PEFT_DATA_INVALID where a row has several texts */
  rowsOfTexts(texts: readonly string[]): Table;
}

/** @param columns that are read, in the table's order. */
export function textRows(columns: readonly string[]): TextRows {
  const tokens = async (table: Table, tools: DataTools): Promise<TokenizedTable> => {
    const { base, settings, signal } = tools;
    const how = textSettings(columns, textLength(tools), base.config);
    const data = settings['data.text_pairs']
      ? pairTable(await encodePairs(pairsOf(table, columns), base.tokenizer, { ...how, signal }))
      : await tokenizeRows(table, how, base.tokenizer, signal);
    tellRows(tools, table, data);
    const taskIds = taskIdsOf(table, tools.taskIdColumn);
    if (!taskIds) return data;
    return {
      ...data,
      batch: (rows, labels) => ({
        ...data.batch(rows, labels),
        taskIds: Int32Array.from(rows, (row) => taskIds[row]!),
      }),
    };
  };
  return {
    tokens,
    async run<P>(table: Table, task: Task<never, P>, tools: TaskTools) {
      const { predictions } = await predict(
        tools.model,
        task,
        tableData(await tokens(table, tools)),
        { batchSize: runSizes(tools.settings).evaluationBatchSize, signal: tools.signal },
      );
      return predictions;
    },
    rowsOfTexts(texts) {
      if (columns.length === 1)
        return tableFromRows(
          texts.map((text) => ({ [columns[0]!]: text })),
          'texts',
        );
      throw new PeftError(
        'PEFT_DATA_INVALID',
        `predictor: single texts work for models of one text column, this one has ${columns.join(', ')}.`,
        { hint: 'give a table with these columns' },
      );
    },
  };
}

/** @throws PEFT_CONFIG_INVALID unless there are two text columns */
function pairsOf(table: Table, columns: readonly string[]): (readonly [string, string])[] {
  if (columns.length !== 2)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: data.text_pairs needs two text columns, ${table.source} has ${columns.length}: ${columns.join(', ')}.`,
      { hint: 'name both with textColumns (CLI: --text FIRST SECOND), or leave it out' },
    );
  const [first, second] = columns.map((column) =>
    table.column(column).map((cell) => (cell === null ? '' : String(cell))),
  );
  return first!.map((text, row) => [text, second![row]!] as const);
}
