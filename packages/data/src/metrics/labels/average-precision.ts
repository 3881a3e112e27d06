/**
 * Average precision, AP = Σ_k (R_k − R_{k−1})·P_k over the distinct scores k from the largest down,
 * with precision and recall of everything that scores at least k (scikit-learn's
 * `average_precision_score`). Without a positive it is 0.
 */
import { checkLabelSets, type LabelSetMetric } from './label-set-metric.js';

/**
 * AP of one list.
 * @param relevant 1 or 0 of each item. @param scores of each, higher is better.
 */
export function averagePrecision(relevant: ArrayLike<number>, scores: ArrayLike<number>): number {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort(
    (a, b) => scores[b]! - scores[a]!,
  );
  const positives = order.reduce((sum, i) => sum + relevant[i]!, 0);
  if (positives === 0) return 0;
  let [found, area] = [0, 0];
  for (let start = 0; start < order.length;) {
    let end = start;
    let fresh = 0;
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) {
      fresh += relevant[order[end]!]!;
      end += 1;
    }
    found += fresh;
    area += (fresh / positives) * (found / end);
    start = end;
  }
  return area;
}

const metricOf = (
  average: 'micro' | 'macro' | 'samples',
  lists: (rows: number, labelCount: number) => readonly (readonly number[])[],
): LabelSetMetric =>
  Object.freeze<LabelSetMetric>({
    name: `average_precision_${average}`,
    aliases: average === 'macro' ? ['average_precision'] : [],
    greaterIsBetter: true,
    optimum: 1,
    compute(input) {
      const rows = checkLabelSets(`average_precision_${average}`, input);
      const { labelCount, labels, probabilities } = input;
      const values = lists(rows, labelCount).map((list) =>
        averagePrecision(
          list.map((i) => labels[i]!),
          list.map((i) => probabilities[i]!),
        ),
      );
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    },
  });

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** `average_precision_micro` over all decisions, `_macro` per label, `_samples` per row. */
export const averagePrecisionMetrics: readonly LabelSetMetric[] = [
  metricOf('micro', (rows, labelCount) => [range(rows * labelCount)]),
  metricOf('macro', (rows, labelCount) =>
    range(labelCount).map((c) => range(rows).map((row) => row * labelCount + c)),
  ),
  metricOf('samples', (rows, labelCount) =>
    range(rows).map((row) => range(labelCount).map((c) => row * labelCount + c)),
  ),
];
