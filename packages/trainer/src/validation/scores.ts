/** From a task's predictions to the metrics of @peft/data. */
import {
  perplexity,
  scoreProbabilities,
  type LabelSetMetric,
  type Metric,
  type RankingMetric,
  type TagMetric,
  type TokenLoss,
} from '@peft/data';

/** Labels, and the metrics that probabilities are scored by. */
export interface ClassificationScoreOptions {
  readonly metrics: readonly Metric[];
  /** Class ids of the rows `[n]`. */
  readonly labels: ArrayLike<number>;
  /** C. */
  readonly classes: number;
  /** What binary metrics count as positive. Default 1. */
  readonly positiveClass?: number;
}

/**
 * A `score` for {@link createEvaluator}: metrics of probabilities, by name.
 * @throws what the metrics throw
 */
export function classificationScore({
  metrics,
  labels,
  classes,
  positiveClass,
}: ClassificationScoreOptions) {
  return (predictions: readonly Float64Array[]): Record<string, number> => {
    const probabilities = new Float64Array(predictions.length * classes); // [n, C]
    predictions.forEach((row, i) => probabilities.set(row, i * classes));
    return Object.fromEntries(
      metrics.map((metric) => [
        metric.name,
        scoreProbabilities(metric, {
          labels,
          probabilities,
          classCount: classes,
          positiveClass,
        }),
      ]),
    );
  };
}

/** The same for numbers. @param options.labels in their own unit `[n]`. */
export function regressionScore({
  metrics,
  labels,
}: {
  readonly metrics: readonly Metric[];
  readonly labels: ArrayLike<number>;
}) {
  return (predictions: readonly number[]): Record<string, number> =>
    Object.fromEntries(
      metrics.map((metric) => [metric.name, metric.compute({ labels, predictions })]),
    );
}

/**
 * The same for words: tags of the classes, `O` for a word that was cut off.
 * @param options.labels tags of the rows' words.
 * @param options.tags class i is tags[i]
 */
export function tagScore({
  metrics,
  labels,
  tags,
}: {
  readonly metrics: readonly TagMetric[];
  readonly labels: readonly (readonly string[])[];
  readonly tags: readonly string[];
}) {
  return (predictions: readonly Int32Array[]): Record<string, number> => {
    const made = predictions.map((row) => Array.from(row, (id) => tags[id] ?? 'O'));
    return Object.fromEntries(metrics.map((metric) => [metric.name, metric.compute(labels, made)]));
  };
}

/** `perplexity` of a language model's predictions. */
export const perplexityScore = (predictions: readonly TokenLoss[]): Record<string, number> => ({
  perplexity: perplexity(predictions),
});

/**
 * How well anchors find their own texts among those of all rows: `top1`, the part that has it
 * nearest, and `mean_reciprocal_rank`.
 * @param predictions embeddings of anchor and positive of each row.
 */
export function retrievalScore(
  predictions: readonly (readonly Float32Array[])[],
): Record<string, number> {
  const dot = (a: Float32Array, b: Float32Array): number =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const ranks = predictions.map(([anchor, own]) => {
    const nearness = dot(anchor!, own!);
    return (
      1 + predictions.filter(([, other]) => other !== own && dot(anchor!, other!) > nearness).length
    );
  });
  return {
    top1: ranks.filter((rank) => rank === 1).length / ranks.length,
    mean_reciprocal_rank: ranks.reduce((sum, rank) => sum + 1 / rank, 0) / ranks.length,
  };
}

/**
 * The same for rows with any number of labels.
 * @param options.labels 1 where a row has a label `[n, C]`.
 * @param options.thresholds a row is predicted to have label c from probability thresholds[c] on
 */
export function labelSetScore({
  metrics,
  labels,
  thresholds,
}: {
  readonly metrics: readonly LabelSetMetric[];
  readonly labels: ArrayLike<number>;
  readonly thresholds: readonly number[];
}) {
  const labelCount = thresholds.length;
  return (predictions: readonly Float64Array[]): Record<string, number> => {
    const probabilities = new Float64Array(predictions.length * labelCount); // [n, C]
    predictions.forEach((row, i) => probabilities.set(row, i * labelCount));
    const decided = probabilities.map((value, i) => (value >= thresholds[i % labelCount]! ? 1 : 0));
    return Object.fromEntries(
      metrics.map((metric) => [
        metric.name,
        metric.compute({ labelCount, labels, predictions: decided, probabilities }),
      ]),
    );
  };
}

/**
 * The same for rankings.
 * @param options.relevances of the documents of each query.
 */
export function rankingScore({
  metrics,
  relevances,
}: {
  readonly metrics: readonly RankingMetric[];
  readonly relevances: readonly ArrayLike<number>[];
}) {
  return (predictions: readonly ArrayLike<number>[]): Record<string, number> => {
    const lists = predictions.map((scores, r) => ({ relevances: relevances[r]!, scores }));
    return Object.fromEntries(metrics.map((metric) => [metric.name, metric.compute(lists)]));
  };
}
