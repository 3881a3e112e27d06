/** A predictor's task whose rows say, in a column, which of the adapter's tasks they are of. */
import { tableFromRows } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { PredictorTask } from './predictor-task.js';
import type { TaskName } from './task-names.js';

/** Tasks that hand the column on to the model. */
const READING: readonly TaskName[] = Object.freeze([
  'classification',
  'regression',
  'multi-label-classification',
  'token-classification',
  'causal-lm',
  'seq2seq',
]);

/**
 * The task with a column of task ids.
 * @throws PEFT_CONFIG_INVALID for a task that has no use for one, or reads the column for something
 *   else
 */
export function taskOfSeveral(task: PredictorTask, column: string): PredictorTask {
  if (!READING.includes(task.name))
    throw new PeftError('PEFT_CONFIG_INVALID', `predictor: ${task.name} reads no task ids.`, {
      hint: `leave out taskIdColumn; these tasks read it: ${READING.join(', ')}`,
    });
  if (task.columns.includes(column))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: the column ${show(column)} of task ids is read for something else, too.`,
      { hint: 'name a column of its own' },
    );
  const { forBase, afterFit, probabilities, embed } = task;
  const told = <T extends object>(tools: T): T & { readonly taskIdColumn: string } => ({
    ...tools,
    taskIdColumn: column,
  });
  return Object.freeze<PredictorTask>({
    ...task,
    taskIdColumn: column,
    record: { ...task.record, taskIdColumn: column },
    columns: [...task.columns, column],
    inputs: [...task.inputs, column],
    ...(forBase && { forBase: (...given) => taskOfSeveral(forBase(...given), column) }),
    examples: (table, tools) => task.examples(table, told(tools)),
    scorer: (table, metrics, tools, writing) => task.scorer(table, metrics, told(tools), writing),
    predict: (table, tools, writing) => task.predict(table, told(tools), writing),
    ...(probabilities && { probabilities: (table, tools) => probabilities(table, told(tools)) }),
    ...(embed && { embed: (table, tools) => embed(table, told(tools)) }),
    ...(afterFit && {
      async afterFit(validation, tools) {
        const settled = await afterFit(validation, told(tools));
        return settled && taskOfSeveral(settled, column);
      },
    }),
    rowsOfTexts(texts, taskId) {
      if (taskId === undefined)
        throw new PeftError(
          'PEFT_TASK_ID_MISSING',
          'predictor: texts alone do not say which task they are of.',
          {
            hint: `say it with taskId (CLI: --task-id N), or give a table with the column ${show(column)}`,
          },
        );
      const table = task.rowsOfTexts(texts);
      const rows = texts.map((_, row) =>
        Object.fromEntries([
          ...table.columns.map((name) => [name, table.values(name)[row]] as const),
          [column, taskId],
        ]),
      );
      return tableFromRows(rows, table.source);
    },
  });
}
