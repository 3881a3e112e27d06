/** Which task the data and options of a fit pose. */
import { alikeClasses } from '../data/alike-classes.js';
import { labelOddities } from '../data/label-oddities.js';
import {
  holdsLabelLists,
  inferProblemType,
  separatorInLabels,
  type LabelSetColumns,
  type Metric,
  type Table,
  type TableWarning,
} from '@peft/data';
import { check, PeftError, show } from '@peft/errors';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitOptions, PredictorOptions } from '../settings/predictor-types.js';
import { fitProblem, labelsOf } from '../settings/problem.js';
import { requireReadSettings } from '../settings/task-settings.js';
import { causalTask } from '../tasks/causal/causal-task.js';
import { holdsTurns } from '../tasks/causal/conversations.js';
import { chooseColumns, unreadColumns, type RoledTask } from '../tasks/column-roles.js';
import { embeddingTask } from '../tasks/embeddings/embedding-task.js';
import { fitMultiLabelTask } from '../tasks/labels/multi-label-task.js';
import { pairTask } from '../tasks/pair-task.js';
import { fitPreferenceTask } from '../tasks/preference/preference-task.js';
import { grpoTask } from '../tasks/preference/grpo-task.js';
import { rewardTask } from '../tasks/preference/reward-task.js';
import type { PredictorTask } from '../tasks/predictor-task.js';
import { fitRankingTask } from '../tasks/ranking/ranking-task.js';
import { tableTask } from '../tasks/table-task.js';
import { taskOfSeveral } from '../tasks/task-of-several.js';
import { fitTagTask } from '../tasks/tag-task.js';
import { isTableTask, OTHER_TASK_NAMES, readsLabels, TASK_NAMES } from '../tasks/task-names.js';
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
  /** Told of what the labels make of the task. */
  readonly tell: (warning: TableWarning) => void;
  /** Told of columns that no role of the task reads. */
  readonly unread: (message: string) => void;
}

/** That task, label, roles and problem type go together. @throws PEFT_CONFIG_INVALID */
export function checkTaskOptions({
  task,
  label,
  sampleWeight,
  taskIdColumn,
  columnRoles,
  problemType,
}: PredictorOptions): void {
  if (task !== undefined) check.oneOf('PeftPredictor', 'task', task, TASK_NAMES, OTHER_TASK_NAMES);
  if (taskIdColumn !== undefined) check.string('PeftPredictor', 'taskIdColumn', taskIdColumn);
  const fail = (message: string, hint: string): never => {
    throw new PeftError('PEFT_CONFIG_INVALID', `PeftPredictor: ${message}.`, { hint });
  };
  if (readsLabels(task)) {
    checkLabel(task, label);
    if (sampleWeight !== undefined) {
      check.string('PeftPredictor', 'sampleWeight', sampleWeight);
      if ([label].flat().includes(sampleWeight))
        fail(`${show(sampleWeight)} is label and sampleWeight`, 'name two columns');
    }
    if (columnRoles)
      fail(
        'columnRoles are for tasks other than classification, multi-label-classification and regression',
        'name the column to predict with label, and those of the texts with fit(…, { textColumns })',
      );
    if (task === 'multi-label-classification' && problemType !== undefined)
      fail(`the task is ${task}, the problemType ${problemType}`, 'leave out problemType');
    if (task === 'classification' && problemType === 'regression')
      fail('the task is classification, the problemType regression', 'leave out problemType');
    if (task === 'regression' && problemType !== undefined && problemType !== 'regression')
      fail(`the task is regression, the problemType ${problemType}`, 'leave out problemType');
    return;
  }
  if (sampleWeight !== undefined) fail(`${task} weighs no rows`, 'leave out sampleWeight');
  if (label !== undefined)
    fail(`${task} has no label column`, 'say which columns it reads with columnRoles');
  if (problemType !== undefined) fail(`${task} has no problemType`, 'leave it out');
}

/** One column, or several that say 0 or 1 of a label each. @throws PEFT_CONFIG_INVALID */
function checkLabel(task: PredictorOptions['task'], label: PredictorOptions['label']): void {
  if (!Array.isArray(label)) return check.string('PeftPredictor', 'label', label);
  for (const [i, column] of label.entries()) check.string('PeftPredictor', `label[${i}]`, column);
  if (isSingleLabel(task) || new Set(label).size < Math.max(2, label.length))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `PeftPredictor: label is a list of ${label.length} columns: ${label.map(show).join(', ')}.`,
      {
        hint:
          'several columns of 0 and 1, each once, are for multi-label-classification; ' +
          'name one column for other tasks',
      },
    );
}

const isSingleLabel = (task: PredictorOptions['task']): boolean =>
  task !== undefined && isTableTask(task);

/**
 * @throws PEFT_CONFIG_INVALID for a setting that only other tasks read; PEFT_COLUMN_MISSING,
 *   PEFT_LABEL_…, PEFT_TEXT_COLUMN_MISSING, PEFT_TAGS_INVALID
 */
export function chooseTask(choice: TaskChoice): PredictorTask {
  const { taskIdColumn } = choice.predictor;
  const task =
    taskIdColumn === undefined ? taskOf(choice) : taskOfSeveral(taskOf(choice), taskIdColumn);
  requireReadSettings(task.name, choice.settings);
  const alike = task.classes && alikeClasses(task.classes);
  if (alike) choice.tell(alike);
  return task;
}

function taskOf(choice: TaskChoice): PredictorTask {
  const {
    predictor: { task, taskIdColumn, columnRoles = {} },
    options,
    table,
  } = choice;
  if (readsLabels(task))
    return labelSetsOf(choice) ? chooseMultiLabelTask(choice) : chooseTableTask(choice);
  if (options.textColumns || options.columnTypes)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${task} has no text columns to choose.`,
      { hint: 'say which columns it reads with columnRoles' },
    );
  const name = (task ?? 'token-classification') as RoledTask;
  const columns = chooseColumns(name, table, columnRoles);
  // rewards may read any column
  const unread =
    name === 'grpo'
      ? []
      : unreadColumns(table, columns).filter((column) => column !== taskIdColumn);
  if (unread.length > 0)
    choice.unread(
      `${name} reads ${Object.values(columns).join(', ')}: ${unread.join(', ')} ` +
        `${unread.length > 1 ? 'are' : 'is'} not used.`,
    );
  switch (name) {
    case 'causal-lm':
      return causalTask(
        columns,
        columns['prompt'] !== undefined && holdsTurns(table, columns['prompt']),
      );
    case 'seq2seq':
      return pairTask(columns);
    case 'ranking':
      return fitRankingTask(columns, choice.settings);
    case 'embeddings':
      return embeddingTask(columns);
    case 'preference':
      return fitPreferenceTask(columns, choice.settings);
    case 'grpo':
      return grpoTask(
        { name: 'grpo', columns },
        { rewards: options.rewards ?? [], columns: table.columns },
      );
    case 'reward':
      return rewardTask({ name: 'reward', columns, head: 'pooled-linear' });
    case 'token-classification':
      return fitTagTask(columns, table);
  }
}

/**
 * Where a row's labels stand, when it may have any number of them: several columns were named, a
 * separator is set, or the column holds lists.
 * @throws PEFT_LABEL_LIST when lists are to be classes or numbers
 */
function labelSetsOf({ predictor, settings, table }: TaskChoice): LabelSetColumns | undefined {
  const { task, label } = predictor;
  if (typeof label !== 'string') return { columns: label! };
  const separator = settings['data.label_separator'];
  const where = { column: label, separator };
  if (task === 'multi-label-classification') return where;
  if (separator === null && !holdsLabelLists(table, label)) return undefined;
  if (task === undefined && predictor.problemType === undefined) return where;
  const thing = separator === null ? 'lists of labels' : `labels between ${show(separator)}`;
  throw new PeftError(
    'PEFT_LABEL_LIST',
    `predictor: the column ${show(label)} of ${table.source} holds ${thing}, and ` +
      `${task ?? predictor.problemType} gives each row one.`,
    {
      hint:
        "several labels per row are task: 'multi-label-classification' " +
        '(CLI: --task multi-label-classification)',
    },
  );
}

function chooseMultiLabelTask(choice: TaskChoice): PredictorTask {
  const { predictor, settings, table, tell } = choice;
  const where = labelSetsOf(choice)!;
  const labels = 'columns' in where ? where.columns : [where.column];
  const task = fitMultiLabelTask(
    where,
    textsBeside(labels, choice),
    table,
    settings,
    predictor.sampleWeight,
  );
  if (predictor.task === undefined && !('columns' in where))
    tell({
      code: 'PEFT_LABEL_LIST',
      message:
        `the column ${show(where.column)} holds several labels per row: the task is ` +
        `multi-label classification of ${task.classes!.length} labels.`,
      hint: "name it with task: 'multi-label-classification' (CLI: --task), and this is not said",
    });
  return task;
}

/** The columns to learn from; what is not used is told. */
function textsBeside(
  labels: readonly string[],
  { predictor, options: { columnTypes, textColumns }, table, validation, warn }: TaskChoice,
): readonly string[] {
  const { sampleWeight, taskIdColumn } = predictor;
  const { columns, warnings } = chooseTextColumns(table, {
    labels: [...labels, sampleWeight ?? [], taskIdColumn ?? []].flat(),
    validation,
    columnTypes,
    textColumns,
  });
  for (const message of warnings) warn(message);
  return columns;
}

function chooseTableTask(choice: TaskChoice): PredictorTask {
  const { predictor, settings, table, validation, metrics, tell } = choice;
  const label = predictor.label as string;
  const given =
    predictor.problemType ?? (predictor.task as 'classification' | 'regression' | undefined);
  labelsOf(table.column(label), label, table.source);
  const type = inferProblemType(table, label, {
    validation,
    given,
  });
  const separator = separatorInLabels(table, label);
  if (separator !== undefined && type !== 'regression')
    tell({
      code: 'PEFT_LABEL_LIST',
      message:
        `labels of the column ${show(label)} look like several with ${show(separator)} between ` +
        'them; each is taken for one class as it is.',
      hint:
        'several labels per row are learnt with data.label_separator ' +
        `(CLI: --label-separator '${separator}')`,
    });
  const task = tableTask(
    label,
    textsBeside([label], choice),
    fitProblem(
      type,
      table.column(label),
      settings['data.pos_label'],
      settings['optim.class_weights'],
    ),
    metrics,
    predictor.sampleWeight,
  );
  if (task.classes)
    for (const warning of labelOddities(table.column(label), task.classes)) tell(warning);
  return task;
}
