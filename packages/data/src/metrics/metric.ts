/** What a metric is: a named function of labels and predictions, and which way is better. */
import { PeftError, show } from '@peft/errors';

/** Labels and predictions of n rows. */
export interface MetricInput {
  /** Class ids, or numbers for regression `[n]`. */
  readonly labels: ArrayLike<number>;
  /**
   * As the metric `needs`: class ids `[n]`, probabilities `[n · classCount]` row by row, or values
   * `[n]`.
   */
  readonly predictions: ArrayLike<number>;
  /** Number of classes. Default 2. */
  readonly classCount?: number;
  /** Binary metrics: the class that counts as positive. Default 1. */
  readonly positiveClass?: number;
}

/** A named score of labels and predictions, with the direction that is better. */
export interface Metric {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly greaterIsBetter: boolean;
  /** The best value there is. */
  readonly optimum: number;
  readonly needs: 'classes' | 'probabilities' | 'values';
  /**
   * @throws PEFT_METRIC_INPUT_INVALID for lengths or values that do not fit, PEFT_METRIC_UNDEFINED
   *   where it has no value.
   */
  compute(input: MetricInput): number;
}

/** Checks lengths and class ids; @returns n. */
export function checkInput(
  name: string,
  { labels, predictions, classCount = 2 }: MetricInput,
  needs: Metric['needs'],
): number {
  const n = labels.length;
  const fail = (what: string) =>
    new PeftError('PEFT_METRIC_INPUT_INVALID', `data: ${name}: ${what}`);
  if (n === 0) throw fail('there are no labels.');
  const wanted = needs === 'probabilities' ? n * classCount : n;
  if (predictions.length !== wanted)
    throw fail(`${n} labels need ${wanted} ${needs}, got ${predictions.length}.`);
  for (let i = 0; i < predictions.length; i += 1) {
    if (!Number.isFinite(predictions[i]!)) throw fail(`prediction ${i} is ${predictions[i]}.`);
  }
  for (let i = 0; i < n; i += 1) {
    const label = labels[i]!;
    const valid =
      needs === 'values'
        ? Number.isFinite(label)
        : Number.isInteger(label) && label >= 0 && (needs === 'classes' || label < classCount);
    if (!valid) throw fail(`label ${i} is ${show(label)}.`);
  }
  return n;
}

/**
 * Says that a metric has no value on this data.
 * @returns the error for a metric that has no value on this data.
 */
export function undefinedMetric(name: string, why: string, hint: string): PeftError {
  return new PeftError('PEFT_METRIC_UNDEFINED', `data: ${name} is not defined here: ${why}`, {
    hint,
  });
}
