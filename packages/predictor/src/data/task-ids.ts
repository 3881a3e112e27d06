/** The task of each row, as a column says, for adapters that learn several tasks at once. */
import { modelTasks, requireTaskIds, type Model } from '@peft/core';
import type { Table } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { DataTools, PredictorTask } from '../tasks/predictor-task.js';

/**
 * The task of each row of a table, from 0; undefined without such a column.
 * @param count tasks that there are, where that is known
 * @throws PEFT_TASK_ID_MISSING for a row that names none, PEFT_TASK_ID_RANGE for one that is no task;
 *   PEFT_COLUMN_MISSING
 */
export function taskIdsOf(
  table: Table,
  column: string | undefined,
  count?: number,
): Int32Array | undefined {
  if (column === undefined) return undefined;
  const most = count === undefined ? 2 ** 31 : count;
  return Int32Array.from(table.column(column), (cell, row) => {
    const where = `row ${table.origin?.(row) ?? row} of ${table.source}`;
    if (cell === null || cell === '')
      throw new PeftError(
        'PEFT_TASK_ID_MISSING',
        `predictor: ${where} names no task in the column ${show(column)}.`,
        { hint: 'give each row the number of its task, from 0' },
      );
    const id = typeof cell === 'boolean' ? Number.NaN : Number(cell);
    if (Number.isInteger(id) && id >= 0 && id < most) return id;
    throw new PeftError(
      'PEFT_TASK_ID_RANGE',
      `predictor: ${where} must name a task ` +
        `${count === undefined ? 'by a whole number from 0' : `from 0 to ${count - 1}`} in the column ` +
        `${show(column)}, got ${show(cell)}.`,
      { hint: 'tasks count from 0; the method says how many there are (its option tasks)' },
    );
  });
}

/**
 * That rows name their tasks where, and only where, an adapter has several.
 * @throws PEFT_TASK_ID_MISSING, PEFT_TASK_ID_RANGE naming the row, PEFT_TASK_ID_UNUSED
 */
export function checkTaskIds(
  { taskIdColumn }: Pick<PredictorTask, 'taskIdColumn'>,
  tables: readonly Table[],
  count: number,
): void {
  if (taskIdColumn === undefined && count > 1)
    throw new PeftError(
      'PEFT_TASK_ID_MISSING',
      `predictor: the adapter has ${count} tasks, and no column says which one a row is of.`,
      { hint: "name it with taskIdColumn: 'COLUMN' (CLI: --task-id-column COLUMN)" },
    );
  for (const table of tables) {
    const ids = taskIdsOf(table, taskIdColumn, count > 1 ? count : undefined);
    requireTaskIds('predictor', count, ids);
  }
}

/** `checkTaskIds` for the adapters in force. */
export const checkModelTasks = (
  task: Pick<PredictorTask, 'taskIdColumn'>,
  tables: readonly Table[],
  model: Model,
): void => checkTaskIds(task, tables, modelTasks(model));

/**
 * Rows of texts that were given as they are.
 * @throws PEFT_TASK_ID_UNUSED for a task id where rows name none
 */
export function rowsOfTexts(
  task: PredictorTask,
  texts: readonly string[],
  taskId: number | undefined,
): Table {
  if (taskId !== undefined && task.taskIdColumn === undefined)
    requireTaskIds('predictor', 1, [taskId]);
  return task.rowsOfTexts(texts, taskId);
}

/** Batches whose rows say where their sequences are, where a row may hold several. */
interface RowBatch {
  readonly rows: Int32Array;
  readonly exampleOffsets?: Int32Array;
}

/** Data of a table, some of whose rows may be left out. */
interface RowData<B> {
  readonly lengths: Int32Array;
  readonly skipped: readonly number[];
  readonly cut: readonly number[];
  readonly marked: readonly number[];
  pack(rows: Int32Array): B;
}

/** Data that tells the task of each sequence, where the task at hand has a column for it. */
export function withTaskIds<B extends RowBatch>(
  data: RowData<B>,
  table: Table,
  tools: DataTools,
): RowData<B> {
  const ids = taskIdsOf(table, tools.taskIdColumn);
  if (!ids) return data;
  const skipped = new Set(data.skipped);
  const kept = ids.filter((_, row) => !skipped.has(row));
  return {
    ...data,
    pack(chosen) {
      const batch = data.pack(chosen);
      const own = sequencesOf(batch).flatMap((count, i) =>
        new Array<number>(count).fill(kept[chosen[i]!]!),
      );
      return { ...batch, taskIds: Int32Array.from(own) };
    },
  };
}

/** How many sequences each row of a batch holds. */
const sequencesOf = ({ rows, exampleOffsets }: RowBatch): number[] =>
  Array.from(rows, (_, i) => (exampleOffsets ? exampleOffsets[i + 1]! - exampleOffsets[i]! : 1));
