/** From a task's predictions to the metrics of @peft/data. */
import { scoreProbabilities, type Metric } from '@peft/data';

export interface ClassificationScoreOptions {
  readonly metrics: readonly Metric[];
  /** Class ids of the rows `[n]`. */
  readonly labels: ArrayLike<number>;
  /** C. */
  readonly classes: number;
  /** What binary metrics count as positive. Default 1. */
  readonly positiveClass?: number;
}

/** A `score` for {@link createEvaluator}: metrics of probabilities, by name. @throws what the metrics throw */
export function classificationScore({ metrics, labels, classes, positiveClass }: ClassificationScoreOptions) {
  return (predictions: readonly Float64Array[]): Record<string, number> => {
    const probabilities = new Float64Array(predictions.length * classes); // [n, C]
    predictions.forEach((row, i) => probabilities.set(row, i * classes));
    return Object.fromEntries(metrics.map((metric) => [metric.name, scoreProbabilities(metric, { labels, probabilities, classCount: classes, ...(positiveClass !== undefined && { positiveClass }) })]));
  };
}

/** The same for numbers. @param options.labels in their own unit `[n]`. */
export function regressionScore({ metrics, labels }: { readonly metrics: readonly Metric[]; readonly labels: ArrayLike<number> }) {
  return (predictions: readonly number[]): Record<string, number> => Object.fromEntries(metrics.map((metric) => [metric.name, metric.compute({ labels, predictions })]));
}
