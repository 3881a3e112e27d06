/** Which task the data and options of a fit pose. */
import { inferProblemType, type Metric, type Table } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitOptions, PredictorOptions } from '../settings/predictor-types.js';
import { fitProblem, labelsOf } from '../settings/problem.js';
import { causalTask } from '../tasks/causal-task.js';
import { chooseColumns, unreadColumns, type RoledTask } from '../tasks/column-roles.js';
import { embeddingTask } from '../tasks/embedding-task.js';
import { pairTask } from '../tasks/pair-task.js';
import type { PredictorTask } from '../tasks/predictor-task.js';
import { tableTask } from '../tasks/table-task.js';
import { fitTagTask } from '../tasks/tag-task.js';
import { isTableTask, TASK_NAMES } from '../tasks/task-names.js';
import { chooseTextColumns } from '../data/text-columns.js';

export interface TaskChoice {
  readonly predictor: PredictorOptions;
  readonly options: FitOptions;
  readonly settings: Hyperparameters;
  readonly table: Table;
  readonly validation: Table | undefined;
  /** Of classes and numbers, that may be named. */
  readonly metrics: readonly Metric[];
  /** Told of columns that are not used, or were taken for texts. */
  readonly warn: (message: string) => void;
  /** Told of columns that no role of the task reads. */
  readonly unread: (message: string) => void;
}

/** That task, label, roles and problem type go together. @throws PEFT_CONFIG_INVALID */
export function checkTaskOptions({
  task,
  label,
  columnRoles,
  problemType,
}: PredictorOptions): void {
  if (task !== undefined) check.oneOf('PeftPredictor', 'task', task, TASK_NAMES);
  const fail = (message: string, hint: string): never => {
    throw new PeftError('PEFT_CONFIG_INVALID', `PeftPredictor: ${message}.`, { hint });
  };
  if (isTableTask(task)) {
    check.string('PeftPredictor', 'label', label);
    if (columnRoles)
      fail(
        'columnRoles are for tasks other than classification and regression',
        'name the column to predict with label, and those of the texts with fit(…, { textColumns })',
      );
    if (task === 'classification' && problemType === 'regression')
      fail('the task is classification, the problemType regression', 'leave out problemType');
    if (task === 'regression' && problemType !== undefined && problemType !== 'regression')
      fail(`the task is regression, the problemType ${problemType}`, 'leave out problemType');
    return;
  }
  if (label !== undefined)
    fail(`${task} has no label column`, 'say which columns it reads with columnRoles');
  if (problemType !== undefined) fail(`${task} has no problemType`, 'leave it out');
}

/** @throws PEFT_COLUMN_MISSING, PEFT_LABEL_…, PEFT_TEXT_COLUMN_MISSING, PEFT_TAGS_INVALID */
export function chooseTask(choice: TaskChoice): PredictorTask {
  const {
    predictor: { task, columnRoles = {} },
    options,
    table,
  } = choice;
  if (isTableTask(task)) return chooseTableTask(choice);
  if (options.textColumns || options.columnTypes)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${task} has no text columns to choose.`,
      { hint: 'say which columns it reads with columnRoles' },
    );
  const name = (task ?? 'token-classification') as RoledTask;
  const columns = chooseColumns(name, table, columnRoles);
  const unread = unreadColumns(table, columns);
  if (unread.length > 0)
    choice.unread(
      `${name} reads ${Object.values(columns).join(', ')}: ${unread.join(', ')} ` +
        `${unread.length > 1 ? 'are' : 'is'} not used.`,
    );
  switch (name) {
    case 'causal-lm':
      return causalTask(columns);
    case 'seq2seq':
      return pairTask(columns);
    case 'embeddings':
      return embeddingTask(columns);
    case 'token-classification':
      return fitTagTask(columns, table);
  }
}

function chooseTableTask({
  predictor,
  options,
  settings,
  table,
  validation,
  metrics,
  warn,
}: TaskChoice): PredictorTask {
  const label = predictor.label!;
  const given =
    predictor.problemType ?? (predictor.task as 'classification' | 'regression' | undefined);
  labelsOf(table.column(label), label, table.source);
  const type = inferProblemType(table, label, {
    validation,
    given,
  });
  const { columnTypes, textColumns } = options;
  const { columns, warnings } = chooseTextColumns(table, {
    label,
    validation,
    columnTypes,
    textColumns,
  });
  for (const message of warnings) warn(message);
  return tableTask(
    label,
    columns,
    fitProblem(type, table.column(label), settings['data.pos_label']),
    metrics,
  );
}
