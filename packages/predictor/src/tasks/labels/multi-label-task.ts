/** Rows that may have any number of labels at once. */
import type { HeadOptions } from '@peft/core';
import {
  DEFAULT_THRESHOLD,
  fitLabelSets,
  getLabelSetMetric,
  readLabelSets,
  restoreLabelSets,
  tuneThresholds,
  type LabelSetColumns,
  type LabelSetMetric,
  type Table,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import {
  labelSetScore,
  multiLabelClassification,
  predict,
  tableData,
  type Task,
} from '@peft/trainer';
import { weightsOf } from '../../data/sample-weights.js';
import { textRows } from '../../data/text-rows.js';
import { runSizes } from '../../fit/run-plan.js';
import type { BaseModel, SavedFields } from '../../model/base-model.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { EMBEDDING } from '../pooled-embedding.js';
import type { PredictorTask, TaskTools } from '../predictor-task.js';
import type { TaskRecord } from '../task-record.js';
import { classifierConfig, classifierHead, labelsOfCheckpoint } from './classifier-head.js';

export type MultiLabelRecord = Extract<TaskRecord, { name: 'multi-label-classification' }>;

const NAME = 'multi-label-classification';
const DEFAULT_METRIC = 'average_precision_micro';

/**
 * The task with the labels that occur in a table.
 * @throws PEFT_LABEL_LIST, PEFT_LABEL_INDICATOR, PEFT_LABEL_MISSING_VALUES, PEFT_LABEL_ONE_CLASS
 */
export function fitMultiLabelTask(
  where: LabelSetColumns,
  texts: readonly string[],
  table: Table,
  settings: Hyperparameters,
  weight?: string,
): PredictorTask {
  const rows = readLabelSets(table, where);
  const encoder = fitLabelSets(rows, where);
  const { classes } = encoder;
  const threshold = settings['data.label_threshold'];
  const start = threshold === 'tuned' ? DEFAULT_THRESHOLD : threshold;
  return multiLabelTask({
    name: NAME,
    labels: where,
    texts,
    classes,
    thresholds: classes.map(() => start),
    head: 'pooled-linear',
    positiveWeights: positiveWeightsOf(settings, classes, encoder.encode(rows)),
    weight,
  });
}

/** @param record all that the task is made of; class c is `classes[c]`. */
export function multiLabelTask(record: MultiLabelRecord): PredictorTask {
  const { labels: where, texts, classes, thresholds, positiveWeights, weight } = record;
  const encoder = restoreLabelSets(classes);
  const rows = textRows(texts);
  const labelColumns = 'columns' in where ? where.columns : [where.column];
  const indicators = (table: Table): Float32Array => encoder.encode(readLabelSets(table, where));
  const lossOf = (settings: Hyperparameters): Task<never, Float64Array> =>
    multiLabelClassification({
      labels: classes.length,
      positiveWeights,
      labelSmoothing: settings['optim.label_smoothing'],
      focalGamma: settings['optim.focal_gamma'],
    });
  const plain = multiLabelClassification({ labels: classes.length });
  const probabilities = (table: Table, tools: TaskTools): Promise<readonly Float64Array[]> =>
    rows.run(table, plain, tools);
  const decode = (row: Float64Array): string[] =>
    classes.filter((_, c) => row[c]! >= thresholds[c]!);

  return Object.freeze<PredictorTask>({
    name: NAME,
    record,
    columns: [...texts, ...labelColumns, ...(weight === undefined ? [] : [weight])],
    inputs: texts,
    classes,
    head: (settings): HeadOptions => classifierHead(record.head, classes.length, settings),
    forBase: (base, settings) => forBase(record, base, settings),
    savedFiles: () => (record.head === 'sequence-classification' ? savedFiles(classes) : {}),
    loss: lossOf,
    examples: async (table, tools) =>
      tableData(await rows.tokens(table, tools), indicators(table), {
        width: classes.length,
        weights: weightsOf(table, weight),
      }),
    metric: (given = DEFAULT_METRIC) =>
      typeof given === 'string' ? getLabelSetMetric(given) : given,
    checkRows(table) {
      indicators(table);
      for (const column of texts) table.column(column);
    },
    async scorer(table, metrics, tools) {
      const labels = indicators(table);
      const data = tableData(await rows.tokens(table, tools), labels, { width: classes.length });
      const score = labelSetScore({
        metrics: metrics as readonly LabelSetMetric[],
        labels,
        thresholds,
      });
      return async (signal) => {
        const { predictions, loss } = await predict(tools.model, lossOf(tools.settings), data, {
          batchSize: runSizes(tools.settings).evaluationBatchSize,
          withLoss: true,
          signal,
        });
        return {
          metrics: { loss: loss!, ...score(predictions) },
          examples: predictions.length,
          predictions: predictions.map(decode),
        };
      };
    },
    predict: async (table, tools) => (await probabilities(table, tools)).map(decode),
    probabilities,
    async afterFit(table, tools) {
      if (tools.settings['data.label_threshold'] !== 'tuned') return undefined;
      const made = await probabilities(table, tools);
      return multiLabelTask({
        ...record,
        thresholds: tuneThresholds({
          labelCount: classes.length,
          labels: indicators(table),
          probabilities: made.flatMap((row) => [...row]),
        }),
      });
    },
    embed: (table, tools) => rows.run(table, EMBEDDING, tools),
    rowsOfTexts: (given) => rows.rowsOfTexts(given),
  });
}

/**
 * With the family's own head, so that transformers reads what is saved; where the checkpoint was
 * trained on these labels, with its rows in its order.
 */
function forBase(
  record: MultiLabelRecord,
  base: BaseModel,
  settings: Hyperparameters,
): PredictorTask {
  const own = labelsOfCheckpoint(base.config, 'multi_label_classification');
  const isKnown = own !== undefined && record.classes.every((label) => own.includes(label));
  const classes = isKnown ? own : record.classes;
  return multiLabelTask({
    ...record,
    classes,
    thresholds: classes.map(() => record.thresholds[0]!),
    positiveWeights:
      record.positiveWeights &&
      classes.map((label) => record.positiveWeights![record.classes.indexOf(label)] ?? 1),
    head: classifierConfig(base, classes.length, settings),
  });
}

const savedFiles = (classes: readonly string[]): SavedFields => ({
  'config.json': {
    problem_type: 'multi_label_classification',
    id2label: Object.fromEntries(classes.map((label, c) => [String(c), label])),
    label2id: Object.fromEntries(classes.map((label, c) => [label, c])),
  },
});

/**
 * @param indicators of the rows' labels `[rows, C]`, from which `balanced` weights come.
 * @throws PEFT_CONFIG_INVALID for another number of weights than labels
 */
function positiveWeightsOf(
  settings: Hyperparameters,
  classes: readonly string[],
  indicators: Float32Array,
): readonly number[] | undefined {
  const weights = settings['optim.positive_weights'];
  if (weights === null) return undefined;
  if (typeof weights === 'number') return classes.map(() => weights);
  if (weights === 'balanced') {
    const rows = indicators.length / classes.length;
    return classes.map((_, c) => {
      const positives = indicators.filter((value, i) => i % classes.length === c && value === 1);
      // a label that all rows have, or none, has nothing to balance
      return (rows - positives.length) / positives.length || 1;
    });
  }
  if (weights.length === classes.length) return weights;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `predictor: optim.positive_weights has ${weights.length} numbers, there are ` +
      `${classes.length} labels: ${classes.slice(0, 20).join(', ')}.`,
    { hint: 'give one number for all labels, or one for each in this order' },
  );
}
