/**
 * What is predicted: one of some classes, or a number. Labels in and out, the task to train, the
 * scores.
 */
import type { ModelBatch } from '@peft/core';
import {
  fitLabelEncoder,
  fitLabelScaler,
  numericLabels,
  restoreLabelEncoder,
  restoreLabelScaler,
  type Cell,
  type Label,
  type LabelEncoder,
  type LabelScaler,
  type Metric,
  type ProblemType,
} from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { Hyperparameters } from './hyperparameter-types.js';
import {
  classification,
  classificationScore,
  regression,
  regressionScore,
  type Task,
} from '@peft/trainer';

/** Probabilities `[C]` of a row, or its number. */
export type RowPrediction = Float64Array | number;

/** What changes the loss of classes. */
export interface LossOptions {
  readonly labelSmoothing: number;
  readonly focalGamma: number;
}

export interface Problem {
  readonly type: ProblemType;
  /** Rows of the head: C, or 1 for numbers. */
  readonly outputs: number;
  /** By class id; empty for numbers. */
  readonly classes: readonly Label[];
  /** Class id that binary metrics look at. */
  readonly positiveClass: number | undefined;
  /** What a saved predictor needs to make it again. JSON-safe. */
  readonly record: ProblemRecord;
  task(options?: LossOptions): Task<ModelBatch, RowPrediction>;
  /** Labels as the loss reads them `[rows]`. @throws PEFT_LABEL_UNKNOWN, PEFT_LABEL_NOT_NUMERIC */
  encode(labels: readonly Cell[]): Int32Array | Float32Array;
  /** Scores of predictions against labels in their own words. */
  scorer(
    metrics: readonly Metric[],
    labels: readonly Cell[],
  ): (predictions: readonly RowPrediction[]) => Record<string, number>;
  /** The most probable label, or the number. */
  decode(prediction: RowPrediction): Label;
}

export type ProblemRecord =
  | {
      readonly type: 'binary' | 'multiclass';
      readonly classes: readonly Label[];
      readonly positiveClass?: number;
      /** How much each class counts in the loss; none: 1 each. */
      readonly classWeights?: readonly number[] | undefined;
    }
  | { readonly type: 'regression'; readonly mean: number; readonly deviation: number };

/**
 * The problem that a label column poses.
 * @param positiveLabel the class that binary metrics look at; default the last in order.
 * @param weights of the classes, or `balanced`: n / (C·n_c), as scikit-learn's
 * @throws PEFT_LABEL_ONE_CLASS, PEFT_LABEL_NOT_NUMERIC …; PEFT_LABEL_UNKNOWN when there is no such
 *   positive label
 */
export function fitProblem(
  type: ProblemType,
  labels: readonly Cell[],
  positiveLabel: Label | null,
  weights: Hyperparameters['optim.class_weights'] = null,
): Problem {
  if (type === 'regression') return valueProblem(fitLabelScaler(labels));
  const encoder = fitLabelEncoder(labels);
  return classProblem(
    type,
    encoder,
    positiveLabel === null ? undefined : encoder.encode([positiveLabel])[0]!,
    weights === 'balanced'
      ? balancedWeights(encoder.encode(labels), encoder.classes.length)
      : weights,
  );
}

export function restoreProblem(record: ProblemRecord): Problem {
  return record.type === 'regression'
    ? valueProblem(restoreLabelScaler(record))
    : classProblem(
        record.type,
        restoreLabelEncoder(record.classes),
        record.positiveClass,
        record.classWeights,
      );
}

function classProblem(
  type: 'binary' | 'multiclass',
  encoder: LabelEncoder,
  positive: number | undefined,
  weights: readonly number[] | null = null,
): Problem {
  const { classes } = encoder;
  if (weights && weights.length !== classes.length)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: optim.class_weights has ${weights.length} numbers, there are ` +
        `${classes.length} classes: ${classes.slice(0, 20).map(show).join(', ')}.`,
      { hint: 'give a number for each class in this order, or balanced' },
    );
  const classWeights = weights ?? undefined;
  const positiveClass = type === 'binary' ? (positive ?? 1) : positive;
  return Object.freeze({
    type,
    outputs: classes.length,
    classes,
    positiveClass,
    record: { type, classes, positiveClass: positive, classWeights },
    task: (options?: LossOptions) =>
      classification({ classes: classes.length, classWeights, ...options }),
    encode: (labels: readonly Cell[]) => encoder.encode(labels),
    scorer: (metrics: readonly Metric[], labels: readonly Cell[]) =>
      classificationScore({
        metrics,
        labels: encoder.encode(labels),
        classes: classes.length,
        positiveClass,
      }) as Scorer,
    decode: (prediction: RowPrediction) => encoder.decode(largest(prediction as Float64Array)),
  });
}

/** n / (C·n_c), so that all classes weigh the same in sum. */
function balancedWeights(ids: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const id of ids) counts[id]! += 1;
  return counts.map((count) => ids.length / (classes * count));
}

type Scorer = (predictions: readonly RowPrediction[]) => Record<string, number>;

function valueProblem(scaler: LabelScaler): Problem {
  const { mean, deviation } = scaler;
  return Object.freeze({
    type: 'regression' as const,
    outputs: 1,
    classes: Object.freeze([]),
    positiveClass: undefined,
    record: { type: 'regression' as const, mean, deviation },
    task: () => regression({ scaler }),
    encode: (labels: readonly Cell[]) => scaler.encode(labels),
    scorer: (metrics: readonly Metric[], labels: readonly Cell[]) =>
      regressionScore({ metrics, labels: numericLabels(labels) }) as Scorer,
    decode: (prediction: RowPrediction) => prediction as number,
  });
}

/** Index of the largest value; of equal ones the first. */
const largest = (values: Float64Array): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);

/**
 * That the metric has a value on these labels, found out before anything is trained.
 * @throws PEFT_METRIC_INPUT_INVALID when it is of another kind of problem, PEFT_METRIC_UNDEFINED
 */
export function checkMetric(metric: Metric, problem: Problem, labels: readonly Cell[]): void {
  if ((metric.needs === 'values') !== (problem.type === 'regression')) {
    throw new PeftError(
      'PEFT_METRIC_INPUT_INVALID',
      `predictor: ${metric.name} does not fit a ${problem.type} problem, it is a metric of ${metric.needs}.`,
      {
        hint:
          problem.type === 'regression'
            ? 'use root_mean_squared_error, mean_absolute_error, r2 or spearmanr'
            : 'use accuracy, roc_auc, log_loss, f1 or mcc',
      },
    );
  }
  // Predictions that differ, so that only the labels can make it undefined.
  problem.scorer(
    [metric],
    labels,
  )(
    labels.map((_, row) =>
      problem.type === 'regression'
        ? row
        : Float64Array.from({ length: problem.outputs }, (_, c) =>
            c === row % problem.outputs ? 0.6 : 0.4 / Math.max(1, problem.outputs - 1),
          ),
    ),
  );
}

/** @throws PEFT_LABEL_MISSING_VALUES for rows without a label */
export function labelsOf(cells: readonly Cell[], column: string, source: string): readonly Cell[] {
  const empty = cells.flatMap((cell, row) => (cell === null ? [row] : []));
  if (empty.length > 0)
    throw new PeftError(
      'PEFT_LABEL_MISSING_VALUES',
      empty.length === 1
        ? `predictor: row ${empty[0]} of ${source} has no value in the label column ${show(column)}.`
        : `predictor: ${empty.length} of ${cells.length} rows of ${source} have no value in the ` +
            `label column ${show(column)} (rows ${empty.slice(0, 5).join(', ')}${empty.length > 5 ? ', …' : ''}).`,
      { hint: 'remove rows without a label' },
    );
  return cells;
}
