/** Metrics of predicted classes, as scikit-learn computes them. */
import { averagedRatio, countClasses, type Average } from './class-counts.js';
import type { Metric, MetricInput } from '../metric.js';

const classMetric = (
  name: string,
  aliases: readonly string[],
  compute: (input: MetricInput) => number,
): Metric =>
  Object.freeze({ name, aliases, greaterIsBetter: true, optimum: 1, needs: 'classes', compute });

/** Part of the rows that are predicted right. */
export const accuracy = classMetric('accuracy', ['acc'], (input) => {
  const { n, correct } = countClasses('accuracy', input);
  return correct.reduce((sum, count) => sum + count, 0) / n;
});

/** Mean over the classes that occur among the labels of the part predicted right. */
export const balancedAccuracy = classMetric('balanced_accuracy', ['bac', 'bacc'], (input) => {
  const { correct, support } = countClasses('balanced_accuracy', input);
  const recalls = correct.flatMap((count, i) => (support[i]! > 0 ? [count / support[i]!] : []));
  return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
});

/**
 * Matthews' correlation, for any number of classes (Gorodkin 2004): with c right of n, p_k
 * predictions and t_k labels of class k, (c·n − Σ p_k t_k) / √((n² − Σ p_k²)(n² − Σ t_k²)); 0 where
 * the denominator is 0.
 */
export const matthewsCorrelation = classMetric('mcc', ['matthews_corrcoef'], (input) => {
  const { n, correct, predicted, support } = countClasses('mcc', input);
  const sum = (term: (k: number) => number) => correct.reduce((total, _, k) => total + term(k), 0);
  const covariance = sum((k) => correct[k]!) * n - sum((k) => predicted[k]! * support[k]!);
  const predictions = n * n - sum((k) => predicted[k]! ** 2);
  const labels = n * n - sum((k) => support[k]! ** 2);
  return predictions * labels === 0 ? 0 : covariance / Math.sqrt(predictions * labels);
});

const AVERAGES: readonly Average[] = ['binary', 'macro', 'micro', 'weighted'];

const averaged = (
  name: string,
  factor: number,
  denominator: (predicted: number, support: number) => number,
): Metric[] =>
  AVERAGES.map((average) => {
    const full = average === 'binary' ? name : `${name}_${average}`;
    return classMetric(full, [], (input) =>
      averagedRatio(name, input, average, (correct) => factor * correct, denominator),
    );
  });

/**
 * `precision`, `precision_macro`, `precision_micro`, `precision_weighted`: right ones among those
 * predicted as the class.
 */
export const precisionMetrics: readonly Metric[] = averaged(
  'precision',
  1,
  (predicted) => predicted,
);
/** `recall`, …: right ones among those of the class. */
export const recallMetrics: readonly Metric[] = averaged('recall', 1, (_, support) => support);
/** `f1`, …: 2·right / (predicted + of the class). */
export const f1Metrics: readonly Metric[] = averaged(
  'f1',
  2,
  (predicted, support) => predicted + support,
);
