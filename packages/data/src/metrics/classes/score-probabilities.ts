/** Scores class probabilities by any metric of classes or probabilities. */
import { PeftError } from '@peft/errors';
import type { Metric } from '../metric.js';

/** Labels of n rows with the probabilities of their classes. */
export interface ProbabilityScoreInput {
  readonly labels: ArrayLike<number>; // [n]
  readonly probabilities: ArrayLike<number>; // [n, classCount]
  readonly classCount: number;
  readonly positiveClass?: number;
}

/**
 * A metric that needs classes gets the most probable one of each row.
 * @throws PEFT_METRIC_INPUT_INVALID if the metric is one of numbers, and what the metric throws.
 */
export function scoreProbabilities(
  metric: Metric,
  { labels, probabilities, classCount, ...rest }: ProbabilityScoreInput,
): number {
  if (metric.needs === 'values') {
    throw new PeftError(
      'PEFT_METRIC_INPUT_INVALID',
      `data: ${metric.name} is a metric of numbers, but classes are predicted.`,
      { hint: 'Use accuracy, roc_auc, log_loss, f1 or mcc.' },
    );
  }
  const predictions =
    metric.needs === 'classes' ? mostProbable(probabilities, classCount) : probabilities;
  return metric.compute({ labels, predictions, classCount, ...rest });
}

/** The class of the largest probability of each row `[n]`; of equal ones the first. */
export function mostProbable(probabilities: ArrayLike<number>, classCount: number): Int32Array {
  return Int32Array.from({ length: probabilities.length / classCount }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classCount; c += 1)
      if (probabilities[row * classCount + c]! > probabilities[row * classCount + best]!) best = c;
    return best;
  });
}
