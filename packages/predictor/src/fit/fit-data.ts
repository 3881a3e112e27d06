/** The tables of a fit, and the task that they make. */
import { createHash } from 'node:crypto';
import { groupRows, holdoutSplit, type Table } from '@peft/data';
import { check } from '@peft/errors';
import { readTrainingData } from '../data/read-data.js';
import { namedMethod } from '../methods/named-method.js';
import { requireEngine } from '../engine/engine-choice.js';
import { ENGINES, PREDICTOR_METRICS } from '../predictor-module.js';
import type { PredictorState } from '../model/predictor-state.js';
import type { PredictorOptions } from '../settings/predictor-types.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { PredictorTask, WatchedMetric } from '../tasks/predictor-task.js';
import { chooseTask } from './choose-task.js';
import type { FitParts } from './fit-request.js';
import { checkStart } from './start-adapter.js';

/** What is learnt from what. */
export interface FitData {
  readonly train: Table;
  readonly validation: Table;
  readonly task: PredictorTask;
  readonly metric: WatchedMetric;
}

/** Columns that are named before the table is read: a first line that holds them is a header. */
function wantedColumns(
  { label, sampleWeight, taskIdColumn, columnRoles = {} }: PredictorOptions,
  previous: PredictorState | undefined,
): readonly string[] {
  if (previous) return previous.task.columns;
  if (label === undefined) return [...Object.values(columnRoles), taskIdColumn ?? []].flat();
  return [label, sampleWeight ?? [], taskIdColumn ?? []].flat();
}

/**
 * Reads the tables, chooses the task and splits off what is validated on.
 * @throws PEFT_DATA_…, PEFT_LABEL_…, PEFT_METRIC_… before a model is loaded
 */
export async function prepareData(request: FitParts, settings: Hyperparameters): Promise<FitData> {
  const { app, predictor, options, previous, emit } = request;
  const seed = settings['env.seed'];
  checkStart(options);
  requireEngine(settings['env.engine'], app.get(ENGINES));
  if (!options.method) namedMethod(app, settings, predictor.task);
  if (options.sample !== undefined) check.positiveInteger('fit', 'sample', options.sample);
  if (options.timeLimitSeconds !== undefined)
    check.positive('fit', 'timeLimitSeconds', options.timeLimitSeconds);
  const reading = { ...options, wanted: wantedColumns(predictor, previous) };
  const whole = await readTrainingData(request.data, reading);
  const given = options.sample === undefined ? whole : whole.sample(options.sample, seed);
  const tuning =
    options.tuningData === undefined
      ? undefined
      : await readTrainingData(options.tuningData, reading);
  for (const table of tuning ? [whole, tuning] : [whole])
    for (const warning of table.warnings ?? []) emit({ type: 'run/warned', ...warning });
  const warn = (message: string): void =>
    emit({
      type: 'run/warned',
      code: 'PEFT_COLUMN_TYPE',
      message,
      hint: "say what a column is with columnTypes: { COLUMN: 'text' }",
    });
  const task =
    previous?.task ??
    chooseTask({
      predictor,
      options,
      settings,
      table: given,
      validation: tuning,
      metrics: app.get(PREDICTOR_METRICS),
      warn,
      tell: (warning) => emit({ type: 'run/warned', ...warning }),
      unread: (message) =>
        emit({
          type: 'run/warned',
          code: 'PEFT_COLUMN_UNUSED',
          message,
          hint: 'name the columns of other roles with columnRoles (CLI: --map ROLE=COLUMN)',
        }),
    });
  const metric =
    predictor.evalMetric === undefined
      ? (previous?.metric ?? task.metric(undefined))
      : task.metric(predictor.evalMetric);
  task.checkRows(given, []);
  const { train, validation } = tuning
    ? { train: given, validation: tuning }
    : split(given, task, seed, options.holdoutFraction);
  task.checkRows(validation, [metric]);
  return { train, validation, task, metric };
}

function split(
  table: Table,
  task: PredictorTask,
  seed: number,
  fraction: number | undefined,
): { readonly train: Table; readonly validation: Table } {
  const groups = task.groups && groupRows(task.groups(table));
  if (groups) {
    const { train, validation } = holdoutSplit(groups.length, { seed, fraction });
    const rowsOf = (some: Int32Array): number[] => Array.from(some).flatMap((i) => groups[i]!);
    return { train: table.select(rowsOf(train)), validation: table.select(rowsOf(validation)) };
  }
  const classes = task.strata?.(table);
  const rows = holdoutSplit(table.rows, {
    seed,
    fraction,
    classes,
  });
  return { train: table.select(rows.train), validation: table.select(rows.validation) };
}

/** A resumed run must see the same data. */
export function dataFingerprints({ train, validation, task }: FitData): Record<string, string> {
  const hash = (table: Table): string => {
    const made = createHash('sha256');
    for (const column of task.columns)
      if (table.has(column)) made.update(JSON.stringify([column, table.values(column)]));
    return made.digest('hex');
  };
  return { 'training data': hash(train), 'validation data': hash(validation) };
}
