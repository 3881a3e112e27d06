/** Metrics of predicted numbers, as scikit-learn and SciPy compute them. */
import { checkInput, undefinedMetric, type Metric, type MetricInput } from './metric.js';
import { averageRanks } from './classes/ranks.js';

const valueMetric = (
  name: string,
  aliases: readonly string[],
  optimum: 0 | 1,
  compute: (labels: ArrayLike<number>, predictions: ArrayLike<number>, n: number) => number,
): Metric =>
  Object.freeze({
    name,
    aliases,
    greaterIsBetter: optimum === 1,
    optimum,
    needs: 'values' as const,
    compute: (input: MetricInput) =>
      compute(input.labels, input.predictions, checkInput(name, input, 'values')),
  });

/** Mean of a function of label and prediction. */
const meanOf = (
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  term: (label: number, prediction: number) => number,
): number => {
  let sum = 0;
  for (let i = 0; i < labels.length; i += 1) sum += term(labels[i]!, predictions[i]!);
  return sum / labels.length;
};

/** Σ(y−p)² / n */
export const meanSquaredError = valueMetric('mean_squared_error', ['mse'], 0, (y, p) =>
  meanOf(y, p, (label, value) => (label - value) ** 2),
);
/** √(Σ(y−p)² / n), in the unit of the labels. */
export const rootMeanSquaredError = valueMetric('root_mean_squared_error', ['rmse'], 0, (y, p) =>
  Math.sqrt(meanOf(y, p, (label, value) => (label - value) ** 2)),
);
/** Σ|y−p| / n, in the unit of the labels. */
export const meanAbsoluteError = valueMetric('mean_absolute_error', ['mae'], 0, (y, p) =>
  meanOf(y, p, (label, value) => Math.abs(label - value)),
);

/** Median of |y−p|; of an even number of rows the mean of the two in the middle. */
export const medianAbsoluteError = valueMetric('median_absolute_error', [], 0, (y, p, n) => {
  const errors = Float64Array.from(y, (label, i) => Math.abs(label - p[i]!)).sort();
  return (errors[(n - 1) >> 1]! + errors[n >> 1]!) / 2;
});

/** 1 − Σ(y−p)²/Σ(y−ȳ)²; for equal labels 1 if all are met, else 0. */
export const r2 = valueMetric('r2', ['r2_score'], 1, (y, p, n) => {
  if (n < 2) throw undefinedMetric('r2', 'there is one row.', 'Evaluate on two rows or more.');
  const mean = meanOf(y, p, (label) => label);
  const residual = meanOf(y, p, (label, value) => (label - value) ** 2);
  const total = meanOf(y, p, (label) => (label - mean) ** 2);
  return total === 0 ? Number(residual === 0) : 1 - residual / total;
});

/** Correlation of labels and predictions. */
export const pearson = valueMetric('pearsonr', ['pearson'], 1, (y, p) =>
  correlation('pearsonr', y, p),
);
/** Correlation of their ranks, ties sharing the mean rank. */
export const spearman = valueMetric('spearmanr', ['spearman'], 1, (y, p) =>
  correlation('spearmanr', averageRanks(y), averageRanks(p)),
);

function correlation(name: string, a: ArrayLike<number>, b: ArrayLike<number>): number {
  const meanA = meanOf(a, b, (x) => x);
  const meanB = meanOf(a, b, (_, y) => y);
  const covariance = meanOf(a, b, (x, y) => (x - meanA) * (y - meanB));
  const product = meanOf(a, b, (x) => (x - meanA) ** 2) * meanOf(a, b, (_, y) => (y - meanB) ** 2);
  if (product === 0)
    throw undefinedMetric(
      name,
      'all labels or all predictions are equal.',
      'Use root_mean_squared_error.',
    );
  return Math.max(-1, Math.min(1, covariance / Math.sqrt(product)));
}
