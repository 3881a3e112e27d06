/**
 * True positives, predictions and labels of each class, from which most metrics of classes follow.
 */
import { checkInput, undefinedMetric, type MetricInput } from '../metric.js';

/** Counts of n rows by class, C classes. */
export interface ClassCounts {
  readonly n: number;
  /** Classes that occur among labels or predictions, ascending `[C]`. */
  readonly classes: readonly number[];
  /** Rows of the class that are predicted as it `[C]`. */
  readonly correct: readonly number[];
  /** Rows predicted as the class `[C]`. */
  readonly predicted: readonly number[];
  /** Rows of the class `[C]`. */
  readonly support: readonly number[];
}

/** Counts labels and predictions by class. @throws PEFT_METRIC_INPUT_INVALID */
export function countClasses(name: string, input: MetricInput): ClassCounts {
  const n = checkInput(name, input, 'classes');
  const { labels, predictions } = input;
  const classes = [...new Set([...Array.from(labels), ...Array.from(predictions)])].sort(
    (a, b) => a - b,
  );
  const index = new Map(classes.map((each, i) => [each, i]));
  const zeros = () => classes.map(() => 0);
  const [correct, predicted, support] = [zeros(), zeros(), zeros()];
  for (let i = 0; i < n; i += 1) {
    const label = index.get(labels[i]!)!;
    const prediction = index.get(predictions[i]!)!;
    support[label]! += 1;
    predicted[prediction]! += 1;
    if (label === prediction) correct[label]! += 1;
  }
  return { n, classes, correct, predicted, support };
}

/** How the ratios of the classes become one number; see `averagedRatio`. */
export type Average = 'binary' | 'macro' | 'micro' | 'weighted';

/**
 * A ratio per class, averaged: `binary` that of the positive class, `macro` the plain mean over
 * classes that occur, `weighted` by rows of the class, `micro` the ratio of the sums. 0/0 counts as
 * 0.
 */
export function averagedRatio(
  name: string,
  input: MetricInput,
  average: Average,
  numerator: (correct: number) => number,
  denominator: (predicted: number, support: number) => number,
): number {
  const { n, classes, correct, predicted, support } = countClasses(name, input);
  const ratio = (c: number, p: number, s: number) =>
    denominator(p, s) === 0 ? 0 : numerator(c) / denominator(p, s);
  if (average === 'binary') {
    const count = Math.max(input.classCount ?? 2, ...classes.map((each) => each + 1));
    if (count > 2)
      throw undefinedMetric(
        name,
        `there are ${count} classes.`,
        `Use ${name}_macro, ${name}_micro or ${name}_weighted.`,
      );
    const i = classes.indexOf(input.positiveClass ?? 1);
    return i < 0 ? 0 : ratio(correct[i]!, predicted[i]!, support[i]!);
  }
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  if (average === 'micro') return ratio(sum(correct), sum(predicted), sum(support));
  const ratios = classes.map((_, i) => ratio(correct[i]!, predicted[i]!, support[i]!));
  return average === 'macro'
    ? sum(ratios) / classes.length
    : sum(ratios.map((value, i) => value * support[i]!)) / n;
}
