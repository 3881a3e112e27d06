/** What a classifier takes for what. */
import type { BinaryCurves, ClassLine, ClassReport } from '../api-types.js';

/** Wrong rows that are shown. */
const SHOWN_MISTAKES = 50;
const CALIBRATION_BINS = 10;
/** Points of a ROC curve. */
const ROC_POINTS = 200;

export interface ScoredClasses {
  readonly labels: readonly string[];
  /** Class of each row. */
  readonly actual: readonly number[];
  /** `[rows][classes]` */
  readonly probabilities: readonly ArrayLike<number>[];
  /** What is shown of a row. */
  readonly textOf: (row: number) => string;
}

export function classReport(scored: ScoredClasses): ClassReport {
  const { labels, actual, probabilities, textOf } = scored;
  const predicted = probabilities.map(likeliest);
  const confusion = labels.map(() => labels.map(() => 0));
  actual.forEach((label, row) => (confusion[label]![predicted[row]!]! += 1));
  const wrong = actual
    .map((label, row) => ({ label, row, guess: predicted[row]! }))
    .filter(({ label, guess }) => label !== guess)
    .map((one) => ({ ...one, probability: probabilities[one.row]![one.guess]! }))
    .sort((a, b) => b.probability - a.probability);
  return {
    labels,
    confusion,
    perClass: perClass(labels, confusion),
    mistakes: wrong.slice(0, SHOWN_MISTAKES).map(({ row, label, guess, probability }) => ({
      text: textOf(row),
      actual: labels[label]!,
      predicted: labels[guess]!,
      probability,
    })),
    curves:
      labels.length === 2 && new Set(actual).size === 2
        ? binaryCurves(
            labels[1]!,
            actual,
            probabilities.map((row) => row[1]!),
          )
        : undefined,
  };
}

/** Class of the greatest probability; of equal ones the first. */
export const likeliest = (row: ArrayLike<number>): number =>
  Array.from(row).reduce((best, value, at, all) => (value > all[best]! ? at : best), 0);

/** precision = TP / predicted, recall = TP / actual, F1 their harmonic mean; 0 where nothing is. */
export function perClass(
  labels: readonly string[],
  confusion: readonly (readonly number[])[],
): ClassLine[] {
  return labels.map((label, at) => {
    const right = confusion[at]![at]!;
    const rows = sum(confusion[at]!);
    const claimed = sum(confusion.map((row) => row[at]!));
    return {
      label,
      precision: claimed === 0 ? 0 : right / claimed,
      recall: rows === 0 ? 0 : right / rows,
      f1: claimed + rows === 0 ? 0 : (2 * right) / (claimed + rows),
      rows,
    };
  });
}

/**
 * ROC and calibration of the probability of the positive class. The area is that under the curve by
 * trapezoids: ties count half.
 * @param actual 1 for rows of the positive class, else 0; both are there.
 */
export function binaryCurves(
  positive: string,
  actual: readonly number[],
  probability: readonly number[],
): BinaryCurves {
  const order = actual.map((_, row) => row).sort((a, b) => probability[b]! - probability[a]!);
  const positives = sum(actual);
  const negatives = actual.length - positives;
  const points = [{ falsePositives: 0, truePositives: 0 }];
  let [right, wrong, area] = [0, 0, 0];
  order.forEach((row, at) => {
    if (actual[row] === 1) right += 1;
    else wrong += 1;
    // rows of one probability are one point
    if (at + 1 < order.length && probability[order[at + 1]!] === probability[row]) return;
    const before = points.at(-1)!;
    const point = { falsePositives: wrong / negatives, truePositives: right / positives };
    const width = point.falsePositives - before.falsePositives;
    area += (width * (point.truePositives + before.truePositives)) / 2;
    points.push(point);
  });
  const stride = Math.max(1, Math.ceil(points.length / ROC_POINTS));
  return {
    positive,
    roc: points.filter((_, at) => at % stride === 0 || at === points.length - 1),
    area,
    calibration: calibration(actual, probability),
  };
}

/** Bins of equal width in [0, 1]; those without a row are left out. */
function calibration(
  actual: readonly number[],
  probability: readonly number[],
): BinaryCurves['calibration'] {
  const bins = Array.from({ length: CALIBRATION_BINS }, () => ({ rows: 0, sum: 0, right: 0 }));
  probability.forEach((value, row) => {
    const bin = bins[Math.min(CALIBRATION_BINS - 1, Math.floor(value * CALIBRATION_BINS))]!;
    bin.rows += 1;
    bin.sum += value;
    bin.right += actual[row]!;
  });
  return bins
    .filter(({ rows }) => rows > 0)
    .map(({ rows, sum: total, right }) => ({
      probability: total / rows,
      share: right / rows,
      rows,
    }));
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
