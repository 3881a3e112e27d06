/**
 * Area under the receiver operating characteristic: the chance that a positive row scores above a
 * negative one, ties counting half.
 */
import { checkInput, undefinedMetric, type Metric, type MetricInput } from '../metric.js';
import { averageRanks } from './ranks.js';

const aucMetric = (
  name: string,
  aliases: readonly string[],
  compute: (input: MetricInput) => number,
): Metric =>
  Object.freeze({
    name,
    aliases,
    greaterIsBetter: true,
    optimum: 1,
    needs: 'probabilities',
    compute,
  });

/** Two classes: the score is the probability of the positive class. */
export const rocAuc = aucMetric('roc_auc', ['auc', 'rocauc'], (input) => {
  const n = checkInput('roc_auc', input, 'probabilities');
  const { labels, predictions, classCount = 2, positiveClass = 1 } = input;
  if (classCount !== 2)
    throw undefinedMetric(
      'roc_auc',
      `there are ${classCount} classes.`,
      'Use roc_auc_ovo or roc_auc_ovr.',
    );
  const rows = Array.from({ length: n }, (_, i) => i);
  return binaryAuc(
    'roc_auc',
    rows,
    (row) => labels[row] === positiveClass,
    (row) => predictions[row * classCount + positiveClass]!,
  );
});

type Weighting = 'macro' | 'weighted';

/**
 * One class against another (Hand and Till 2001): mean over pairs of the mean of both directions;
 * `weighted` by the pair's rows.
 */
const oneVersusOne = (name: string, aliases: readonly string[], weighting: Weighting) =>
  aucMetric(name, aliases, (input) => {
    const { classes, score, labels, n } = perClass(name, input);
    const parts: [value: number, weight: number][] = [];
    for (let a = 0; a < classes; a += 1) {
      for (let b = a + 1; b < classes; b += 1) {
        const rows = Array.from({ length: n }, (_, i) => i).filter(
          (row) => labels[row] === a || labels[row] === b,
        );
        const direction = (c: number) =>
          binaryAuc(
            name,
            rows,
            (row) => labels[row] === c,
            (row) => score(row, c),
          );
        parts.push([(direction(a) + direction(b)) / 2, weighting === 'macro' ? 1 : rows.length]);
      }
    }
    return weightedMean(parts);
  });

/** One class against all others: mean over classes; `weighted` by the class's rows. */
const oneVersusRest = (name: string, aliases: readonly string[], weighting: Weighting) =>
  aucMetric(name, aliases, (input) => {
    const { classes, score, labels, n } = perClass(name, input);
    const rows = Array.from({ length: n }, (_, i) => i);
    return weightedMean(
      Array.from({ length: classes }, (_, c) => [
        binaryAuc(
          name,
          rows,
          (row) => labels[row] === c,
          (row) => score(row, c),
        ),
        weighting === 'macro' ? 1 : rows.filter((row) => labels[row] === c).length,
      ]),
    );
  });

/** `roc_auc_ovo`, `roc_auc_ovr` and their `_weighted` forms, for more than two classes. */
export const multiclassRocAucMetrics: readonly Metric[] = [
  oneVersusOne('roc_auc_ovo', ['roc_auc_ovo_macro'], 'macro'),
  oneVersusOne('roc_auc_ovo_weighted', [], 'weighted'),
  oneVersusRest('roc_auc_ovr', ['roc_auc_ovr_macro'], 'macro'),
  oneVersusRest('roc_auc_ovr_weighted', [], 'weighted'),
];

function perClass(name: string, input: MetricInput) {
  const n = checkInput(name, input, 'probabilities');
  const { labels, predictions, classCount: classes = 2 } = input;
  return { n, labels, classes, score: (row: number, c: number) => predictions[row * classes + c]! };
}

/** (Σ ranks of the positives − P(P+1)/2) / (P·N), Mann and Whitney 1947. */
function binaryAuc(
  name: string,
  rows: readonly number[],
  positive: (row: number) => boolean,
  score: (row: number) => number,
): number {
  const ranks = averageRanks(rows.map(score));
  let positives = 0;
  let rankSum = 0;
  rows.forEach((row, i) => {
    if (!positive(row)) return;
    positives += 1;
    rankSum += ranks[i]!;
  });
  const negatives = rows.length - positives;
  if (positives === 0 || negatives === 0) {
    throw undefinedMetric(
      name,
      'a class does not occur among the labels.',
      'Evaluate on rows of all classes, or use accuracy or log_loss.',
    );
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

function weightedMean(parts: readonly (readonly [number, number])[]): number {
  const weights = parts.reduce((sum, [, weight]) => sum + weight, 0);
  return parts.reduce((sum, [value, weight]) => sum + value * weight, 0) / weights;
}
